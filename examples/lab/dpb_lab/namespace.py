"""Network namespaces without names: there as long as a descriptor or a process holds them, and nothing stays behind."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _own() -> int:
    """Return a descriptor of the calling thread's namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Namespace:
    """A network namespace of its own. Needs root (CAP_SYS_ADMIN); `OSError` where that is missing."""

    def __init__(self) -> None:
        before = _own()
        try:
            _call("unshare", _CLONE_NEWNET)
            self._descriptor = _own()
            _call("setns", before, _CLONE_NEWNET)
        finally:
            os.close(before)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Within the block, what the calling thread starts (sockets, processes, threads) is in this namespace."""
        before = _own()
        try:
            _call("setns", self._descriptor, _CLONE_NEWNET)
            try:
                yield
            finally:
                _call("setns", before, _CLONE_NEWNET)
        finally:
            os.close(before)

    def close(self) -> None:
        """Let go of it: it is gone once no process is left in it. Repeatable."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
