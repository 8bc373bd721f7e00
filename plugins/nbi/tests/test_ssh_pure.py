"""The parts of SSH that need no connection: labels, keys, typed lines, the table of errors."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from dpb_nbi.access import faults as access_faults
from dpb_nbi.access.keys import PublicKey
from dpb_nbi.jsontext import JsonInvalid
from dpb_nbi.problems import Problem
from dpb_nbi.ssh import faults, frames, labels
from dpb_nbi.ssh.commands import local
from dpb_nbi.ssh.inlet import Inlet
from dpb_nbi.ssh.line import Line
from dpb_nbi.ssh.types import TYPES
from hypothesis import given
from hypothesis import strategies as st

from dpb_framework import errors
from dpb_framework.errors import BadArgument, DpbError
from dpb_framework.model import LabelRange

from .ssh_helpers import make_key

ALL_ERRORS = sorted(
    (
        kind
        for kind in (*vars(errors).values(), *vars(access_faults).values(), JsonInvalid, frames.FrameInvalid)
        if isinstance(kind, type) and issubclass(kind, DpbError) and kind not in (DpbError, errors.Remembered)
    ),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", ALL_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_is_in_the_table(kind):
    assert kind.code in faults.CODES


def test_the_codes_of_the_reference_are_told_as_they_are_there():
    reference = (
        "subnetwork-unknown terminal-unknown terminal-exists terminal-busy subterminal-busy trunk-unknown"
        " bw-unavailable labels-in-use labels-unavailable segment-invalid service-logic bad-argument"
    )
    assert all(faults.CODES[code] == code for code in reference.split())
    assert faults.CODES["role-missing"] == "unauthorized"


def test_an_error_tells_its_facts_in_the_words_of_the_wire():
    told = faults.content(errors.SubterminalBusy("aggr", "left", "a", "trunk t"))
    assert (told["error"], told["network-name"], told["subnetwork-name"]) == ("subterminal-busy", "aggr", "left")
    assert (told["subterminal-name"], told["user"]) == ("a", "trunk t")
    assert "already used" in told["msg"]
    told = faults.content(BadArgument("segment[0].label", "no"))
    assert (told["error"], told["field"]) == ("bad-argument", "segment[0].label")
    assert faults.content(Problem(409, "somebody-elses", "x", facts={"error": "?"}))["error"] == "somebody-elses"


def test_the_table_of_types_is_the_references():
    every = (
        "get-terminals check-terminal get-services check-service find-service new-service define-service"
        " activate-service deactivate-service reset-service release-service await-service-status watch-service"
        " get-model dump-status remove-terminal"
    )
    switch = "add-terminal get-switch-terminals modify-terminal-bandwidth"
    aggregator = (
        "map-terminal get-aggregator-terminals get-trunks add-trunk get-trunk-delay set-trunk-delay increase-trunk-bw"
        " decrease-trunk-bw define-trunk-label-range revoke-trunk-start-label-range revoke-trunk-end-label-range"
        " decommission-trunk recommission-trunk is-trunk-commissioned remove-trunk"
    )
    assert set(TYPES) == {*every.split(), *switch.split(), *aggregator.split()}


# -- labels -------------------------------------------------------------------------------------


def pairs(ranges):
    return sorted((r.start + i, r.end + i) for r in ranges for i in range(r.count))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9), st.booleans()), max_size=12))
def test_label_ranges_are_defined_and_revoked_exactly(steps):
    """Against a set of pairs: start labels 0.., each with its partner 100 further."""
    ranges, model = (), set()
    for first, count, by_end in steps:
        new = {(i, i + 100) for i in range(first, first + count)}
        if not new & model:
            ranges = labels.defined(ranges, first, count, first + 100)
            model |= new
        elif by_end:
            ranges = labels.revoked_at_end(ranges, first + 100, count)
            model -= new
        else:
            ranges = labels.revoked_at_start(ranges, first, count)
            model -= new
        assert pairs(ranges) == sorted(model)
        assert all(r.count > 0 for r in ranges)
        joints = itertools.pairwise(ranges)
        assert all(a.start + a.count < b.start for a, b in joints), "neighbours that continue each other are one"


def test_a_range_in_the_middle_is_split_at_both_ends_alike():
    whole = (LabelRange(10, 10, 30),)
    assert labels.revoked_at_start(whole, 13, 2) == (LabelRange(10, 3, 30), LabelRange(15, 5, 35))
    assert labels.revoked_at_end(whole, 38, 9) == (LabelRange(10, 8, 30),)
    assert labels.revoked_at_start(whole, 0, 5) == whole


# -- keys ---------------------------------------------------------------------------------------


def test_a_key_is_read_as_openssh_writes_it():
    key, line = make_key()
    found = PublicKey.parse(line)
    assert (found.type, found.comment, found.blob) == ("ssh-ed25519", "a test's", key.public_data)
    assert found.fingerprint == key.get_fingerprint()
    assert PublicKey.parse(found.line) == found


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 AAAA",
        "ssh-dss AAAAB3NzaC1kc3M=",
        'command="x" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJJ',
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAgD/",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl",
        "x" * 10_000,
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(line):
    with pytest.raises(BadArgument) as caught:
        PublicKey.parse(line)
    assert caught.value.path == "key"
    assert "b3Bl" not in str(caught.value)


# -- lines and frames ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "lines", "shown"),
    [
        (b"ab\r", ["ab"], "ab\r\n"),
        (b"ab\x7fc\x08d\r", ["ad"], "ab\b \bc\b \bd\r\n"),
        (b"\x7fx\r", ["x"], "x\r\n"),
        (b"abc\x15d\r", ["d"], "abc" + "\b \b" * 3 + "d\r\n"),
        (b"abc\x03d\r", ["", "d"], "abc^C\r\nd\r\n"),
        (b"\x04", [None], ""),
        (b"a\x04\r", ["a"], "a\r\n"),
        (b"a\x1b[A\x1b[3~\x1bOPb\r", ["ab"], "ab\r\n"),
        ("ä€\r".encode(), ["ä€"], "ä€\r\n"),
        (b"\xff\x00a\r", ["\ufffda"], "\ufffda\r\n"),
    ],
)
def test_keys_make_lines(keys, lines, shown):
    assert Line().keys(keys) == (shown, lines)
    apart = Line()
    found = [apart.keys(bytes([key])) for key in keys]
    assert "".join(text for text, _ in found) == shown
    assert [line for _, some in found for line in some] == lines


def test_a_command_finds_rest_on_this_machine():
    assert local("http://0.0.0.0:4753") == "http://127.0.0.1:4753"
    assert local("https://[::]:4753") == "https://[::1]:4753"
    assert local("http://192.0.2.7:1") == "http://192.0.2.7:1"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\0", "cut off"),
        (b"\0\0\0\x05{}", "cut off"),
        (b"\0\x10\0\x01", "at most"),
        (b"GET / HTTP/1.1\r\n", "at most"),
    ],
)
def test_what_is_no_frame_is_told(data, problem):
    async def read():
        inlet = Inlet()
        inlet.feed(data)
        inlet.end()
        return await frames.read(inlet)

    with pytest.raises(frames.FrameInvalid) as caught:
        asyncio.run(read())
    assert problem in str(caught.value)
