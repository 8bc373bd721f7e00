"""Settings of remote networks: faults with their place, secrets that are not shown, and all of them documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from dpb_remote import settings as module
from dpb_remote.settings import settings

from dpb_framework.errors import ConfigInvalid

GUIDE = (Path(__file__).parents[3] / "docs" / "operators-guide.md").read_text("utf-8")
HTTP = "http://broker.example:4753"


def read(**given: Any) -> module.Settings:
    return settings({"url": HTTP, **given}, "$.network[1]", "far")


def test_the_url_is_enough() -> None:
    found = read()
    assert (found.network, found.door.url, found.door.authorization) == ("far", HTTP, None)
    assert read(url=HTTP + "/", network="wan").door == found.door


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("url", {"url": "broker.example:4753"}),
        ("url", {"url": "ftp://broker.example"}),
        ("url", {"url": "http://me:secret@broker.example"}),
        ("url", {"url": 7}),
        ("urll", {"urll": "x"}),
        ("token", {"token": "two\nlines"}),
        ("token", {"token": ""}),
        ("token", {"token": "secret", "user": "me", "password": "secret"}),
        ("password", {"user": "me"}),
        ("user", {"password": "secret"}),
        ("ca", {"ca": "/etc/ca.pem"}),
        ("ca", {"url": "https://broker.example", "ca": "/no/such/file"}),
        ("certificate", {"url": "https://broker.example", "certificate": "/no/such/file"}),
        ("certificate", {"key": "/etc/key.pem"}),
        ("timeout", {"timeout": 0}),
        ("keep-alive", {"keep-alive": 0.01}),
        ("keep-alive", {"keep-alive": 61}),
        ("audit-interval", {"audit-interval": -1}),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_without_secrets(key: str, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read(**given)
    assert caught.value.path == f"$.network[1].{key}"
    assert "secret" not in caught.value.problem


def test_a_missing_url_is_told() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        settings({}, "$.network[1]", "far")
    assert caught.value.path == "$.network[1].url"


def test_credentials_are_not_shown() -> None:
    assert "secret" not in repr(read(token="secret"))
    assert "secret" not in repr(read(user="me", password="secret"))


def test_credentials_are_what_http_says() -> None:
    assert read(token="abc").door.authorization == "Bearer abc"
    # The example of RFC 7617.
    assert read(user="test", password="123\u00a3").door.authorization == "Basic dGVzdDoxMjPCow=="


def test_every_setting_is_documented() -> None:
    section = re.search(r"\n#### `remote`\n(.*?)(?=\n#)", GUIDE, re.DOTALL)
    assert section
    for field in attrs.fields(module._Given):
        assert f"`{field.name.replace('_', '-')}`" in section[1]
