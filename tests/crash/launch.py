"""Run as a program: `dpb ARGUMENTS…` once a line comes on the standard input, or the end when that is closed.

All imports are done by then, so that a broker that was started beforehand takes over within a fraction of a second. It
never outlives the thread that started it.
"""

from __future__ import annotations

import ctypes
import signal
import sys

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    import dpb_nbi.server  # noqa: F401
    import dpb_pathcomp  # noqa: F401
    import dpb_store.migrate
    import dpb_store.sqlite  # noqa: F401

    import dpb_framework.broker  # noqa: F401
    from dpb_framework.cli import main

    if sys.stdin.readline():
        main(prog_name="dpb")
