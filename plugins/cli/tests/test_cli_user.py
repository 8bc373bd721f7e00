"""Users from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_fake_broker import Problem

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(("name", "give"), [("id", "{}/id.pub"), ("wrong.pub", "the public one")])
def test_a_private_key_is_not_sent_and_the_public_one_is_named(dpb: Any, tmp_path: Path, name: str, give: str) -> None:
    (tmp_path / name).write_text(PRIVATE)
    said = dpb.fails("user", "add-key", "osm", tmp_path / name)
    assert said == f"dpb: FILE: that is a private key: keep it secret, and give {give.format(tmp_path)}"
    assert not dpb.broker.requests


def test_a_role_in_a_network_that_is_not_there_is_given_with_a_hint(dpb: Any) -> None:
    roles = ("--role", "control@wna", "--role", "read@lon", "--role", "read@*", "--role", "read@wna")
    given = dpb("user", "set", "osm", *roles)
    assert given.exit_code == 0
    assert given.stderr == "there is no network 'wna' yet; known: lon, par, wan\n"
    assert dpb("user", "set", "osm", "--role", "read@lon", "--role", "read@*").stderr == ""
    dpb.broker.refuse["GET", "networks"] = Problem(403, "role-missing", "not for you")
    assert dpb("user", "set", "osm", *roles).stderr == "", "who may not know the networks gets no hint"
