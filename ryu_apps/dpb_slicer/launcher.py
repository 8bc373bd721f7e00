"""`dpb-slicer`: starts the application, and ends it on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpb_slicer import __version__, compat


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        "dpb-slicer", description="The tuple slicer, or the port slicer: an OpenFlow 1.3 controller."
    )
    made.add_argument("--version", action="version", version=f"dpb-slicer {__version__} on {compat.LIBRARY}")
    made.add_argument(
        "--application", choices=["tuple-slicer", "port-slicer"], default="tuple-slicer",
        help="what is sliced: circuits of a port and up to two tags, with rates (default); or bare ports",
    )  # fmt: skip
    made.add_argument("--listen-openflow", type=_address, default=("127.0.0.1", 6653), metavar="HOST:PORT")
    made.add_argument("--listen-rest", type=_address, default=("127.0.0.1", 8080), metavar="HOST:PORT")
    made.add_argument("--port-file", type=Path, help='where to write {"openflow": PORT, "rest": PORT} once both listen')
    made.add_argument("--ctl-cert", help="certificate (PEM): switches connect with TLS")
    made.add_argument("--ctl-privkey", help="its private key (PEM)")
    made.add_argument("--ca-certs", help="authorities (PEM) that the switches' certificates are checked by")
    made.add_argument("--timeout", type=_positive, default=5.0, help="seconds for a switch to confirm (default 5)")
    made.add_argument(
        "--settle", type=_positive, default=0.015, help="seconds from a switch's word until its caches follow (0.015)"
    )
    made.add_argument(
        "--audit", type=_positive, default=2.0, help="seconds between quick audits, by a count (default 2)"
    )
    made.add_argument("--full-audit", type=_positive, default=30.0, help="seconds between full audits (default 30)")
    made.add_argument("--age", type=int, default=300, help="seconds of silence until an address is forgotten")
    made.add_argument("--max-addresses", type=int, default=1024, help="learned addresses of a slice at most")
    made.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to end; returns the exit status."""
    asked = parser().parse_args(arguments)
    if bool(asked.ctl_cert) != bool(asked.ctl_privkey):
        parser().error("--ctl-cert and --ctl-privkey go together")
    if asked.ca_certs and not asked.ctl_cert:
        parser().error("--ca-certs needs --ctl-cert and --ctl-privkey")
    compat.patch()
    logging.basicConfig(
        level=asked.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda told, _frame: ended.append(told))
    try:
        return _serve(asked, ended)
    except OSError as fault:
        print(f"dpb-slicer: {fault}", file=sys.stderr)
        return 1


def _serve(asked: Any, ended: list[int]) -> int:
    from dpb_slicer.learning import Limits
    from dpb_slicer.rest import create_app
    from dpb_slicer.switches import Switches
    from dpb_slicer.timing import Timing
    from dpb_slicer.words import APPLICATIONS

    switches = Switches(
        Timing(asked.timeout, asked.audit, asked.full_audit, asked.settle), Limits(asked.max_addresses, age=asked.age)
    )
    handlers = compat.Handlers(switches.up, switches.down, switches.message, switches.peer_refused)
    tls = compat.Tls(asked.ctl_cert, asked.ctl_privkey, asked.ca_certs) if asked.ctl_cert else None
    listener = compat.Listener(asked.listen_openflow, handlers, tls)
    rest_port, stop = compat.serve_wsgi(asked.listen_rest, create_app(switches, APPLICATIONS[asked.application]))
    listener.start()
    if asked.port_file:
        partial = asked.port_file.with_name(asked.port_file.name + ".part")
        partial.write_text(json.dumps({"openflow": listener.port, "rest": rest_port}))
        partial.replace(asked.port_file)
    logging.getLogger(__name__).info(
        "switches on %s:%d, REST on %s:%d, on %s",
        asked.listen_openflow[0],
        listener.port,
        asked.listen_rest[0],
        rest_port,
        compat.LIBRARY,
    )
    while not ended:
        compat.sleep(0.1)
    switches.stop()
    compat.end(stop)
    logging.shutdown()
    os._exit(0)  # threads that read from switches have no other end; nothing is kept here that could be lost
