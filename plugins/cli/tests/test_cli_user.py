"""Users from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(("name", "give"), [("id", "{}/id.pub"), ("wrong.pub", "the public one")])
def test_a_private_key_is_not_sent_and_the_public_one_is_named(dpb: Any, tmp_path: Path, name: str, give: str) -> None:
    (tmp_path / name).write_text(PRIVATE)
    said = dpb.fails("user", "add-key", "osm", tmp_path / name)
    assert said == f"dpb: FILE: that is a private key: keep it secret, and give {give.format(tmp_path)}"
    assert not dpb.broker.requests
