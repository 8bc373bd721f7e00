"""`dpb-corsa-emulator`: starts the emulator, and ends it on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dpb_corsa_emulator import __version__, certificate
from dpb_corsa_emulator.device import Backend, BackendFault, Device
from dpb_corsa_emulator.faults import Fault, Faults, fault_of
from dpb_corsa_emulator.ovs.backend import OpenVSwitch
from dpb_corsa_emulator.ovs.commands import Interface, Names
from dpb_corsa_emulator.rest import BASE
from dpb_corsa_emulator.server import serve
from dpb_corsa_emulator.statefile import BadStateFile
from dpb_corsa_emulator.tokens import Tokens
from dpb_corsa_emulator.values import Limits, Refused
from dpb_corsa_emulator.whole import create_whole


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _count(low: int, high: int) -> Callable[[str], int]:
    def take(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"a whole number from {low} to {high} is wanted")
        return int(text)

    return take


def _fault(text: str) -> Fault:
    try:
        return fault_of(json.loads(text))
    except (ValueError, Refused) as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _database(text: str) -> str:
    if not text.startswith("unix:/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not unix:/…/db.sock")
    return text


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]{0,4}", text):
        raise argparse.ArgumentTypeError("up to five letters and digits are wanted: names of ports are short")
    return text


def _interface(text: str) -> Interface:
    match = re.fullmatch(r"((?:lag)?[1-9][0-9]{0,3})=([^,=]+)((?:,[^,=]+=[^,]+)*)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not PORT=NAME,COLUMN=VALUE…")
    return Interface(match[1], match[2], tuple(filter(None, match[3].split(","))))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("dpb-corsa-emulator", description="An emulator of the Corsa management API.")
    add = made.add_argument
    add("--version", action="version", version=f"dpb-corsa-emulator {__version__}")
    add(
        "--folder",
        type=Path,
        required=True,
        help="where certificate.pem, key.pem, token and state.json are, or are made",
    )
    add(
        "--listen",
        type=_address,
        default=("127.0.0.1", 0),
        metavar="HOST:PORT",
        help="default: a free port of 127.0.0.1",
    )
    add("--certificate-name", action="append", metavar="NAME", help="in a new certificate (localhost, 127.0.0.1)")
    add("--forget", action="store_true", help="start without the configuration of before")
    add("--ports", type=_count(1, 9999), default=Limits().ports, help="physical ports (default %(default)s)")
    add("--lags", type=_count(0, 9999), default=Limits().lags, help="LAGs (default %(default)s)")
    add("--max-ofport", type=_count(1, 65279), default=Limits().max_ofport, help="default %(default)s")
    add("--netns", action="append", default=[], metavar="NAME", help="namespaces that there are (default: any)")
    add(
        "--fault",
        action="append",
        type=_fault,
        default=[],
        metavar="JSON",
        help="switch this fault on; see EMULATOR.md",
    )
    add("--ovs", type=_database, metavar="unix:SOCKET", help="carry frames: drive the Open vSwitch with this database")
    add("--ovs-prefix", type=_prefix, default=Names().prefix, help="of the bridges' names (default %(default)s)")
    add("--ovs-datapath", default=Names().datapath, help="datapath_type of the bridges (default %(default)s)")
    add(
        "--interface", action="append", type=_interface, default=[], metavar="PORT=NAME[,COLUMN=VALUE…]",
        help="what a physical port is, and columns of OVSDB's Interface for it",
    )  # fmt: skip
    add("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to end; returns the exit status."""
    asked = parser().parse_args(arguments)
    logging.basicConfig(
        level=asked.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    try:
        stop = start(asked)
    except (OSError, BadStateFile, BackendFault) as fault:
        print(f"dpb-corsa-emulator: {fault}", file=sys.stderr)
        return 1
    ended.wait()
    stop()
    return 0


def start(asked: Any) -> Callable[[], None]:
    """Start what the command line asks for; returns what ends it."""
    folder: Path = asked.folder
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "address.json"
    told.unlink(missing_ok=True)
    if asked.forget:
        (folder / "state.json").unlink(missing_ok=True)
    pem, key = folder / "certificate.pem", folder / "key.pem"
    if not (pem.exists() and key.exists()):
        certificate.make(pem, key, asked.certificate_name or ["localhost", "127.0.0.1", "::1"])
    limits = Limits(ports=asked.ports, lags=asked.lags, max_ofport=asked.max_ofport, netns=tuple(asked.netns))
    device = Device(limits, folder / "state.json", _backend(asked))
    faults = Faults()
    faults.add(asked.fault)
    host = asked.listen[0]
    port, stop = serve(asked.listen, create_whole(device, Tokens(folder / "token"), faults), pem, key)
    shown = f"[{host}]" if ":" in host else host
    partial = told.with_name(told.name + ".part")
    partial.write_text(json.dumps({"url": f"https://{shown}:{port}{BASE}/", "port": port, "pid": os.getpid()}))
    partial.replace(told)
    logging.getLogger(__name__).info("https://%s:%d%s/", shown, port, BASE)

    def end() -> None:
        stop()
        device.end()

    return end


def _backend(asked: Any) -> Backend | None:
    if asked.ovs is None:
        return None
    return OpenVSwitch(asked.ovs, Names(asked.ovs_prefix, asked.ovs_datapath), tuple(asked.interface))
