"""Frames as bytes and back."""

from __future__ import annotations

from dpb_lab.inside.frames import BROADCAST, IPV4, STAG, TEST, frame, number_offset, payload, seen, udp
from hypothesis import given
from hypothesis import strategies as st

ONE, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"


@given(
    st.lists(st.integers(0, 4095), max_size=3).map(tuple),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(46, 1500),
    st.booleans(),
)
def test_what_is_written_is_read(tags: tuple[int, ...], stream: int, number: int, size: int, taken: bool) -> None:
    data = frame(ONE, OTHER, payload(stream, number, size), tags=tags)
    assert len(data) == 14 + 4 * len(tags) + size
    # The kernel gives the outermost tag beside the data.
    read = (data[:12] + data[16:], tags[0]) if taken and tags else (data, None)
    assert seen(7, *read) == (7, tags, ONE, OTHER, TEST, stream, number, len(data))


def test_a_service_tag_stands_outside() -> None:
    data = frame(ONE, BROADCAST, payload(1), tags=(5, 6), tpid=STAG)
    assert data[12:20] == bytes.fromhex("88a8000581000006")
    assert seen(0, data, None).tags == (5, 6)


def test_numbers_are_found_within_udp_and_can_be_changed() -> None:
    data = bytearray(frame(ONE, OTHER, udp("10.0.0.1", "10.0.0.2", payload(9, 1, 100)), tags=(3,), kind=IPV4))
    place = number_offset(bytes(data))
    data[place : place + 4] = (77).to_bytes(4, "big")
    found = seen(0, bytes(data), None)
    assert (found.kind, found.stream, found.number) == (IPV4, 9, 77)


def test_the_header_checksum_of_ip_is_right() -> None:
    packet = udp("10.0.0.1", "10.0.0.2", b"")
    total = sum(int.from_bytes(packet[at : at + 2], "big") for at in range(0, 20, 2))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


def test_what_has_no_number_says_so() -> None:
    found = seen(0, frame(ONE, OTHER, b"anything", kind=0x0806), None)
    assert (found.kind, found.stream, found.number) == (0x0806, -1, -1)
