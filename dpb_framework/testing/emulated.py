"""A device process for tests: started, killed, started again, told to fail, asked what it holds."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from dpb_framework.contracts import Bridge, Channel
from dpb_framework.emulated import ProcessFabric
from dpb_framework.emulated.device import make_bridge
from dpb_framework.emulated.lane import Lane
from dpb_framework.emulated.protocol import Address, parse_channels, plain_channels
from dpb_framework.model import TrafficFlow

PATIENCE = 30.0
"""How long the process may take to start, to end and to answer, in seconds."""


class EmulatedProcess:
    """A device process in a session of its own, so that it outlives the broker under test; it ends with this process.

    *folder* keeps its state and its socket (a temporary one without it). *tcp* takes a port of 127.0.0.1 instead of a
    Unix socket. The address stays the same when it is started again.
    """

    def __init__(self, folder: Path | None = None, *, tcp: bool = False) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="dpb-") if folder is None else None
        self.folder = Path(self._temporary.name) if self._temporary else Path(str(folder))
        self.state = self.folder / "devices.json"
        self.address = "127.0.0.1:0" if tcp else f"unix:{self.folder / 'devices.sock'}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmulatedProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()
        if self._temporary:
            self._temporary.cleanup()

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def complaint(self) -> str:
        """What the process wrote to its standard error, in all its lives."""
        try:
            return (self.folder / "stderr").read_text()
        except FileNotFoundError:
            return ""

    def start(self) -> None:
        """Start the process and wait until it listens; `RuntimeError` with its complaint when it does not."""
        if self.pid is not None:
            raise RuntimeError("the device process runs already")
        self._reap()
        command = [sys.executable, "-m", "dpb_framework.emulated.server"]
        command += ["--state", str(self.state), "--listen", self.address, "--parent-pid", str(os.getpid())]
        with open(self.folder / "stderr", "ab") as complaints:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True
            )
        line = self._first_line()
        if not line.startswith("ready "):
            self.kill()
            raise RuntimeError(f"the device process did not start: {self.complaint.strip() or 'no line came'}")
        self.address = line.removeprefix("ready ").strip()

    def kill(self) -> None:
        """End the process as a loss of power does (SIGKILL), and wait until it is gone."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """End the process in good order, and wait until it is gone. Repeatable."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill the process and start it again on what it kept."""
        self.kill()
        self.start()

    def wait_gone(self) -> int:
        """Wait until the process has ended by itself, as after a scripted crash; return its exit status."""
        if self._process is None:
            raise RuntimeError("the device process was not started")
        status = self._process.wait(PATIENCE)
        self._reap()
        return status

    def pause(self) -> None:
        """Let the process stand still: connections stay, nothing is answered."""
        os.kill(self._running().pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process go on."""
        os.kill(self._running().pid, signal.SIGCONT)

    def fabric(self, device: str = "0", *, timeout: float = 5.0) -> ProcessFabric:
        """Return a fabric over one of the devices; it is not started."""
        return ProcessFabric(address=self.address, device=device, timeout=timeout)

    def ask(self, op: str, device: str = "0", **facts: Any) -> dict[str, Any]:
        """Send one message of the protocol and return the answer; `RuntimeError` when the process does not like it."""
        deadline = time.monotonic() + PATIENCE
        lane = Lane(Address.parse(self.address), "", deadline)
        try:
            answer = lane.ask({"op": op, "device": device, **facts}, deadline)
        finally:
            lane.close()
        if answer.get("ok") is not True:
            raise RuntimeError(f"{op}: {answer.get('error') or answer.get('refused') or answer}")
        return answer

    def fault(self, device: str = "0", **words: Any) -> None:
        """Script a fault: refuse=…, delay=…, hang=True, forget=True or crash=…, with on, count and key_prefix."""
        self.ask("fault", device, **words)

    def clear_faults(self, device: str = "0") -> None:
        """Forget the faults that wait."""
        self.ask("clear-faults", device)

    def port(self, interface: str, *, up: bool, device: str = "0") -> None:
        """Let a port go down or come up."""
        self.ask("port", device, interface=interface, up=up)

    def contact(self, *, up: bool, device: str = "0") -> None:
        """Lose contact with one device, which goes on carrying frames, or have it again."""
        self.ask("contact", device, up=up)

    def holds(self, device: str = "0") -> dict[str, Bridge]:
        """Return the bridges that are there, by key, whether or not there is contact."""
        return {b["key"]: make_bridge(b["key"], parse_channels(b["channels"])) for b in self.listing(device)["bridges"]}

    def listing(self, device: str = "0") -> dict[str, Any]:
        """Return all that the device holds, as plain data."""
        return self.ask("list", device)

    def calls(self, device: str = "0") -> Mapping[str, int]:
        """How often each command reached the device."""
        counters: dict[str, int] = self.ask("counters", device)["counters"]
        return counters

    def carries(self, channel: Channel, device: str = "0") -> Collection[Channel]:
        """Where a frame that enters at *channel* comes out."""
        out = self.ask("carries", device, channel=[channel.interface, channel.label])["out"]
        return frozenset(Channel(interface, label) for interface, label in out)

    def stranger(self, name: str, channels: Mapping[Channel, TrafficFlow] | None, device: str = "0") -> None:
        """Let somebody else make a bridge, or with None remove it."""
        plain = None if channels is None else plain_channels(make_bridge(name, channels))
        self.ask("stranger", device, name=name, channels=plain)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("the device process does not run")
        return self._process

    def _first_line(self) -> str:
        process = self._running_pipe()
        deadline = time.monotonic() + PATIENCE
        line = b""
        while not line.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
            if not select.select([process], [], [], left)[0]:
                break
            received = os.read(process, 4096)
            if not received:
                break
            line += received
        return line.decode()

    def _running_pipe(self) -> int:
        if self._process is None or self._process.stdout is None:
            raise RuntimeError("the device process was not started")
        return self._process.stdout.fileno()

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
            if number is not signal.SIGKILL:
                # One that is paused gets its SIGTERM only when it goes on.
                process.send_signal(signal.SIGCONT)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(PATIENCE)
        self._reap()

    def _reap(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


__all__ = ["PATIENCE", "EmulatedProcess"]
