"""SSH as an operator meets it: `dpb serve` with both interfaces, a key, the same commands here and there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import asyncssh
from click.testing import CliRunner

from dpb_framework.cli import main

from .crash.serving import Serving

TEXT = """
[store]
url = "sqlite:///dpb.sqlite"
[[nbi]]
kind = "rest"
port = 0
access = true
[[nbi]]
kind = "ssh"
port = 0
access = true
host-key = { path = "host_key" }
[[network]]
name = "lon"
kind = "switch"
"""


def test_the_same_commands_here_and_over_ssh(tmp_path: Path) -> None:
    file = tmp_path / "dpb.toml"
    file.write_text(TEXT)
    command = [sys.executable, "-m", "dpb_framework.cli", "admin-token", str(file), "--user", "chief"]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "id.pub").write_bytes(key.export_public_key())
    serving = Serving(tmp_path, file, 0).go()
    with serving as broker:
        url = broker.ready()
        places = dict(line.split(" ", 1) for line in broker.where.read_text().splitlines())
        host, _, port = places["ssh"].rpartition(":")

        def here(*args: str) -> str:
            env = {"DPB_URL": url, "DPB_TOKEN": token, "DPB_NETWORK": None, "DPB_TOKEN_FILE": None}
            ran = CliRunner(env=env).invoke(main, args)
            assert ran.exit_code == 0, ran.output
            return ran.stdout

        async def there(*lines: str) -> list[str]:
            async with asyncssh.connect(
                host, int(port), username="chief", client_keys=[key], known_hosts=None, agent_path=None, config=None
            ) as connection:
                said = []
                for line in lines:
                    ran = await connection.run(line)
                    assert ran.exit_status == 0, ran.stderr
                    said.append(str(ran.stdout))
                return said

        here("user", "add-key", "chief", str(tmp_path / "id.pub"))
        asyncio.run(
            there("dpb terminal add a phys.1", "dpb terminal add b phys.2", "dpb service connect a:1 b:1 --mbps 1")
        )
        commands = ("network list", "terminal list", "service list", "service show 1", "service list --json")
        assert asyncio.run(there(*(f"dpb {line}" for line in commands))) == [here(*line.split()) for line in commands]
        assert broker.terminate() == 0
    assert token not in broker.said
