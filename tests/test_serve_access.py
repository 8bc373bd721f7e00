"""Access as an operator meets it: `dpb serve`, the first token, the client commands; and what a crash leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import trustme
from click.testing import CliRunner, Result

from dpb_framework import plugins
from dpb_framework.cli import load_command, main

from .crash.serving import Serving, until

PATIENCE = 60.0
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
TEXT = """
[store]
url = "sqlite:///dpb.sqlite"
[[nbi]]
kind = "rest"
port = 0
access = true
audit = { path = "audit" }
[[network]]
name = "lon"
kind = "switch"
"""


class Operator:
    """Who has the configuration file, and runs brokers and commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "dpb.toml"
        self.file.write_text(TEXT)
        self.url = ""

    def serve(self, life: int = 0) -> Serving:
        serving = Serving(self.folder, self.file, life).go()
        self.url = serving.ready()
        return serving

    def run(self, *args: str | Path, stdin: str | None = None, **environment: str) -> Result:
        env = {"DPB_URL": self.url, "DPB_NETWORK": None, "DPB_TOKEN": None, "DPB_TOKEN_FILE": None, **environment}
        return CliRunner(env=env).invoke(main, [str(arg) for arg in args], input=stdin)

    def ok(self, *args: str | Path, stdin: str | None = None, **environment: str) -> str:
        result = self.run(*args, stdin=stdin, **environment)
        assert result.exit_code == 0, result.output
        return result.stdout

    def fails(self, *args: str | Path, **environment: str) -> str:
        result = self.run(*args, **environment)
        assert result.exit_code == 1, result.output
        return result.stderr.splitlines()[-1]

    def admin(self) -> str:
        return self.ok("admin-token", self.file).strip()


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def test_a_broker_for_others_without_access_does_not_start(operator: Operator) -> None:
    operator.file.write_text(TEXT.replace("access = true", 'host = "0.0.0.0"'))
    for command in (("serve", "--check"), ("serve",)):
        line = operator.fails(*command, operator.file)
        assert f"{operator.file}: $.nbi[0].access: 0.0.0.0 can be reached from elsewhere: set access = true" in line
    operator.file.write_text(TEXT.replace("access = true", 'host = "0.0.0.0"\ninsecure = true'))
    assert operator.ok("serve", "--check", operator.file).startswith("OK")


def test_from_the_first_token_to_a_service_of_somebody_else(operator: Operator, tmp_path: Path) -> None:
    root = operator.admin()
    with operator.serve() as broker:
        assert "needed" in operator.fails("network", "list")
        assert "DPB_TOKEN" in operator.fails("network", "list")
        assert "does not hold" in operator.fails("network", "list", DPB_TOKEN=root[:-1] + "-")
        assert "is no token" in operator.fails("network", "list", DPB_TOKEN="two words")
        chief = {"DPB_TOKEN": root}
        assert "control@lon" in operator.ok("user", "set", "osm", "--role", "control@lon", **chief)
        made = json.loads(operator.ok("token", "create", "osm", "--name", "RO", "--days", "30", "--json", **chief))
        assert (made["user"], made["name"], made["roles"]) == ("osm", "RO", None)
        file = tmp_path / "token"
        file.write_text(made["token"] + "\n")
        osm = {"DPB_TOKEN_FILE": str(file)}
        assert "osm" in operator.ok("service", "create", **osm)
        assert "needs the role 'manage' on network 'lon'" in operator.fails("terminal", "add", "a", "1", **osm)
        assert "needs the role 'manage' on all networks" in operator.fails("user", "list", "--token-file", file)
        less = operator.ok("token", "create", "osm", "--role", "read@lon", **chief).strip()
        assert "'control'" in operator.fails("service", "create", DPB_TOKEN=less)
        operator.ok("user", "set", "eve", "--role", "control@lon", **chief)
        eve = operator.ok("token", "create", "eve", **chief).strip()
        assert "belongs to 'osm'" in operator.fails("service", "release", "1", DPB_TOKEN=eve)
        assert "osm" in operator.ok("service", "list", DPB_TOKEN=eve)
        operator.ok("user", "set-password", "eve", stdin="long enough\n", **chief)
        rows = operator.ok("user", "list", **chief).splitlines()
        assert [row.split() for row in rows[1:]] == [
            ["admin", "manage@*", "no", "-"],
            ["eve", "control@lon", "yes", "-"],
            ["osm", "control@lon", "no", "-"],
        ]
        key = tmp_path / "id.pub"
        key.write_text(f"# a key\n{KEY} eve's\n")
        shown = operator.ok("user", "add-key", "eve", key, **chief)
        assert "SHA256:" in shown
        assert "eve's" in shown
        (eves,) = json.loads(operator.ok("user", "list", "--json", **chief))["users"][1]["keys"]
        assert eves["id"] in operator.ok("user", "list", **chief)
        operator.ok("user", "remove-key", "eve", eves["fingerprint"], **chief)
        assert "no public key" in operator.fails("user", "remove-key", "eve", eves["id"], **chief)
        assert operator.ok("user", "add-key", "eve", "-", "--json", stdin=KEY, **chief)
        operator.ok("user", "remove-key", "eve", eves["id"], **chief)
        for text in ("", f"{KEY}\n{KEY}\n", "rubbish", "-----BEGIN OPENSSH PRIVATE KEY-----"):
            key.write_text(text)
            assert "key" in operator.fails("user", "add-key", "eve", key, **chief)
        assert "no token has that id" in operator.fails("token", "revoke", "nope", **chief)
        operator.ok("token", "revoke", made["id"], **chief)
        assert "does not hold" in operator.fails("network", "list", **osm)
        assert made["id"] not in operator.ok("token", "list", **chief)
        operator.ok("user", "remove", "osm", **chief)
        assert "does not hold" in operator.fails("network", "list", DPB_TOKEN=less)
        assert "belongs to 'osm'" in operator.fails("service", "release", "1", DPB_TOKEN=eve)
        operator.ok("service", "release", "1", **chief)
        assert "there is no user 'osm'" in operator.fails("token", "create", "osm", **chief)
        assert "in use by" in operator.fails("admin-token", operator.file), "the store is the running broker's"
        assert broker.terminate() == 0
    everything = broker.said + (tmp_path / "audit").read_text()
    database = b"".join(path.read_bytes() for path in tmp_path.glob("dpb.sqlite*"))
    for secret in (root, made["token"], less, eve, "long enough"):
        assert secret not in everything
        assert secret.encode() not in database


def test_the_command_line_speaks_https(operator: Operator, tmp_path: Path) -> None:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    operator.file.write_text(TEXT.replace("access = true", 'access = true\ncertificate = { path = "server.pem" }'))
    root = operator.admin()
    with operator.serve():
        assert operator.url.startswith("https://")
        assert "lon" in operator.ok("network", "list", DPB_TOKEN=root, DPB_CA=str(tmp_path / "ca.pem"))
        assert "lon" in operator.ok("network", "list", "--ca", tmp_path / "ca.pem", DPB_TOKEN=root)
        line = operator.fails("network", "list", DPB_TOKEN=root)
        assert "its certificate is not trusted" in line
        assert "dpb: " in operator.fails("network", "list", "--ca", tmp_path / "none", DPB_TOKEN=root)


def test_an_admin_who_is_there_gets_another_token(operator: Operator) -> None:
    first, second = operator.admin(), operator.admin()
    assert first != second
    with operator.serve():
        for token in (first, second):
            assert "lon" in operator.ok("network", "list", DPB_TOKEN=token)


def test_where_an_admins_token_was_written_is_told(operator: Operator, tmp_path: Path) -> None:
    assert f"in store {tmp_path / 'dpb.sqlite'}," in operator.run("admin-token", operator.file).stderr
    operator.file.write_text("")
    told = operator.run("admin-token", operator.file, XDG_DATA_HOME=str(tmp_path / "data")).stderr
    assert f"in store {tmp_path / 'data' / 'dpb' / 'dpb.sqlite'}," in told


def test_a_store_that_keeps_nothing_is_no_place_for_a_token(operator: Operator) -> None:
    operator.file.write_text('[store]\nkind = "memory"\n')
    assert "keeps nothing" in operator.fails("admin-token", operator.file)


def commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield from commands(command) if isinstance(command, click.Group) else [command]


def test_no_command_takes_a_secret_where_ps_shows_it() -> None:
    found = [load_command(name) for name in plugins.installed(plugins.COMMANDS)]
    leaves = [leaf for one in found for leaf in (commands(one) if isinstance(one, click.Group) else [one])]
    options = {option for leaf in leaves for parameter in leaf.params for option in parameter.opts}
    assert "--token-file" in options
    assert not {option for option in options if "password" in option or option in {"--token", "--secret"}}


def test_a_token_is_not_in_the_list_of_processes(operator: Operator) -> None:
    root = operator.admin()
    with operator.serve() as broker:
        command = [sys.executable, "-m", "dpb_framework.cli", "service", "watch", "1"]
        environment = os.environ | {"DPB_URL": operator.url, "DPB_TOKEN": root}
        operator.ok("service", "create", DPB_TOKEN=root)
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as watching:
            try:
                assert watching.stdout is not None
                assert b"DORMANT" in watching.stdout.readline(), "it is let in"
                for process in (watching, broker.process):
                    shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
                    assert b"dpb" in shown
                    assert root.encode() not in shown
            finally:
                watching.kill()


def created(url: str, root: str, told: list[dict[str, str]]) -> None:
    """Make tokens one after the other until nobody answers; note those that were told."""
    body = json.dumps({"user": "admin"}).encode()
    while True:
        request = urllib.request.Request(f"{url}/api/v1/tokens", body, {"Authorization": f"Bearer {root}"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                told.append(json.loads(answer.read()))
        except (OSError, ValueError, urllib.error.URLError):
            return


@pytest.mark.parametrize("after", [1, 7, 30])
def test_a_token_that_was_told_survives_a_kill_and_none_is_half_there(operator: Operator, after: int) -> None:
    root = operator.admin()
    told: list[dict[str, str]] = []
    with operator.serve() as broker:
        clients = [threading.Thread(target=created, args=(operator.url, root, told)) for _ in range(3)]
        for client in clients:
            client.start()
        until(lambda: len(told) >= after, "no token is made")
        broker.kill()
        for client in clients:
            client.join(PATIENCE)
    with operator.serve(1) as broker:
        listed = json.loads(operator.ok("token", "list", "--json", DPB_TOKEN=root))["tokens"]
        assert {token["id"] for token in told} <= {token["id"] for token in listed}
        assert len(listed) <= 1 + len(told) + len(clients), "what was under way may be there; nobody knows it"
        for token in told[-20:]:
            operator.ok("network", "list", DPB_TOKEN=token["token"])
        assert "cannot be understood" not in broker.said
        operator.ok("token", "revoke", told[0]["id"], DPB_TOKEN=root)
        assert "does not hold" in operator.fails("network", "list", DPB_TOKEN=told[0]["token"])
