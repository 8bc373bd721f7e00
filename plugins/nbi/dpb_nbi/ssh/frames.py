"""Frames: four bytes of length, big-endian, then a JSON object in UTF-8."""

from __future__ import annotations

import struct
from typing import Any, Final

from attrs import frozen

from dpb_framework.errors import DpbError
from dpb_nbi import jsontext
from dpb_nbi.ssh import limits
from dpb_nbi.ssh.inlet import Inlet

_HEAD: Final = struct.Struct(">I")


@frozen
class FrameInvalid(DpbError):
    """What came is no frame, and where the next one begins is not known."""

    code = "bad-frame"
    problem: str

    def __str__(self) -> str:
        return f"{self.problem}; a frame is its length in four bytes, big-endian, and a JSON object in UTF-8"


def pack(value: Any) -> bytes:
    """Return the frame that says *value*."""
    body = jsontext.write(value)
    return _HEAD.pack(len(body)) + body


async def read(inlet: Inlet) -> bytes | None:
    """Return what the next frame holds, or None at the end. `FrameInvalid` when it is too long or cut off."""
    head = await inlet.exactly(_HEAD.size)
    if not head:
        return None
    if len(head) < _HEAD.size:
        raise FrameInvalid("the frame is cut off")
    (size,) = _HEAD.unpack(head)
    if size > limits.MAX_FRAME:
        raise FrameInvalid(f"the frame is to have {size} bytes, and at most {limits.MAX_FRAME} are taken")
    body = await inlet.exactly(size)
    if len(body) < size:
        raise FrameInvalid("the frame is cut off")
    return body
