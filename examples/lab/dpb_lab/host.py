"""Hosts: a network namespace each, with one interface at a port of a switch, and a worker that works there."""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from dpb_lab.inside.frames import Seen
from dpb_lab.inside.sockets import BIN, INTERFACE
from dpb_lab.process import PATIENCE, Child, LabError, sooner

_ROOT = Path(__file__).resolve().parent.parent
_START = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from dpb_lab.inside.worker import main; main()"


class Job:
    """A command that a host carries out."""

    def __init__(self, host: Host, number: int, command: str) -> None:
        self._host, self._number, self._command = host, number, command

    def result(self) -> Any:
        """Wait for it and return its answer; `LabError` when it failed."""
        answer = self._host.answer(self._number)
        if "error" in answer:
            raise LabError(f"{self._host}: {self._command}: {answer['error']}")
        return answer["result"]


@frozen
class Found:
    """What a capture found. `bins` are bytes of each stream (untagged lengths) by time, in units of `BIN` ns."""

    frames: Sequence[Seen]
    bins: Mapping[int, Sequence[tuple[int, int]]]

    def numbers(self, stream: int) -> list[int]:
        """The numbers of a stream's frames in the order in which they came."""
        return [frame.number for frame in self.frames if frame.stream == stream]

    def count(self) -> Counter[tuple[int, tuple[int, ...]]]:
        """How many frames came of each stream (-1: none) with each sequence of tags."""
        return Counter((frame.stream, frame.tags) for frame in self.frames)

    def rates(self, *streams: int, samples: int = 3, seconds: float = 2.0, skip: float = 0.5) -> list[float]:
        """Return Mbit/s of streams together in *samples* windows, the first *skip* seconds after the first byte."""
        bins: Counter[int] = Counter()
        for stream in streams:
            bins.update(dict(self.bins.get(stream, ())))
        if not bins:
            return [0.0] * samples
        begin = min(bins) + round(skip * 1e9 / BIN)
        width = round(seconds * 1e9 / BIN)
        starts = [begin + width * sample for sample in range(samples)]
        return [sum(bins[at] for at in range(start, start + width)) * 8 / seconds / 1e6 for start in starts]

    def rate(self, *streams: int, samples: int = 3, seconds: float = 2.0, skip: float = 0.5) -> float:
        """The median of `rates`."""
        return statistics.median(self.rates(*streams, samples=samples, seconds=seconds, skip=skip))


class Capture:
    """Receives every frame that comes to a host, from when it was made until `end`."""

    def __init__(self, host: Host, keep: bool) -> None:
        self._host = host
        self._number: int = host.ask("capture", keep=keep)

    def frames(self) -> list[Seen]:
        """The frames up to now."""
        return [_seen(values) for values in self._host.ask("captured", capture=self._number)]

    def end(self) -> Found:
        """End it; `LabError` when the host itself could not keep up, because then nothing is known."""
        found = self._host.ask("end_capture", capture=self._number)
        if found["dropped"]:
            raise LabError(f"{self._host}: {found['dropped']} frames came too quickly for the capture")
        bins = {int(stream): [(at, size) for at, size in counted] for stream, counted in found["bins"].items()}
        return Found([_seen(values) for values in found["frames"]], bins)


def _seen(values: Sequence[Any]) -> Seen:
    at, tags, *rest = values
    return Seen(at, tuple(tags), *rest)


class Stream:
    """A stream of numbered frames on its way out of a host."""

    def __init__(self, host: Host, frame: bytes, first: int, count: int, rate: float) -> None:
        self._host, self._name = host, host.fresh()
        self._job = host.begin("stream", name=self._name, frame=frame.hex(), first=first, count=count, rate=rate)
        self.first = first

    def end(self) -> Sent:
        """Let it end now."""
        self._host.ask("end_stream", name=self._name)
        return self.result()

    def result(self) -> Sent:
        """Wait until all is sent."""
        return Sent(**self._job.result())


@frozen
class Sent:
    """What a stream sent: frames, in how many seconds, and how far behind its rate it was at worst."""

    sent: int
    seconds: float
    behind: float


class Host:
    """A host of a lab. `mac` and `address` (None: nothing of IP) are its interface's."""

    def __init__(self, name: str, mac: str, address: str | None, log: Path) -> None:
        self.name, self.mac = name, mac
        self.network = address
        self.address = address.partition("/")[0] if address else ""
        # Python without site packages starts in a third of the time.
        command = ("unshare", "--net", "--", sys.executable, "-I", "-S", "-u", "-c", _START)
        self._child = Child(sooner(command), log, name=f"worker of host {name}", pipes=True)
        self._numbers = itertools.count(1)
        self._answers: dict[int, Mapping[str, Any]] = {}
        self._asking, self._reading = threading.Lock(), threading.Lock()

    def __str__(self) -> str:
        return f"host {self.name}"

    @property
    def pid(self) -> int:
        """The process whose namespace it is (`nsenter --net --target PID`)."""
        return self._child.pid

    def prepare(self, mtu: int) -> None:
        """Bring up its interface, which must be there."""
        self.ask("prepare", mac=self.mac, address=self.network, mtu=mtu)

    def fresh(self) -> int:
        """A number that this host has not used."""
        return next(self._numbers)

    def begin(self, command: str, /, **arguments: Any) -> Job:
        """Let the worker begin a command; `Job.result` waits for its end."""
        number = self.fresh()
        line = json.dumps({"id": number, "command": command, "arguments": arguments})
        with self._asking:
            try:
                self._child.stdin.write(line.encode() + b"\n")
                self._child.stdin.flush()
            except (OSError, ValueError) as error:
                raise LabError(f"{self}: its worker has ended: {self._child.said.strip()[-300:]}") from error
        return Job(self, number, command)

    def ask(self, command: str, /, **arguments: Any) -> Any:
        """Let the worker carry out a command and return its answer."""
        return self.begin(command, **arguments).result()

    def answer(self, number: int) -> Mapping[str, Any]:
        """Wait for the answer with this number."""
        with self._reading:
            while number not in self._answers:
                line = self._child.stdout.readline()
                if not line:
                    raise LabError(f"{self}: its worker has ended: {self._child.said.strip()[-300:]}")
                answer = json.loads(line)
                self._answers[answer["id"]] = answer
            return self._answers.pop(number)

    def run(self, *command: str) -> str:
        """Run a command in the host and return what it printed; `LabError` when it fails."""
        done = self.ask("run", command=list(command))
        if done["status"] != 0:
            raise LabError(f"{self}: {' '.join(command)}: {done['output'].strip()[-300:]}")
        return str(done["output"])

    def knows(self, other: Host) -> None:
        """Give it the other's hardware address, so that it need not ask by ARP."""
        self.run("ip", "neigh", "replace", other.address, "lladdr", other.mac, "dev", INTERFACE, "nud", "permanent")

    def ping(self, other: Host, *, timeout: float = 2.0, size: int = 56) -> float | None:
        """Ping once; return the seconds until the answer, None when none came in time."""
        times = self.pings(other, 1, timeout=timeout, size=size)
        return times[0] if times else None

    def pings(
        self, other: Host, count: int, *, interval: float = 0.01, timeout: float = 2.0, size: int = 56
    ) -> list[float]:
        """Ping; return the seconds until each answer that came. *timeout* is from the last request."""
        found = self.ask("ping", to=other.address, count=count, interval=interval, timeout=timeout, size=size)
        return list(found["times"])

    def tcp(self, other: Host, size: int, *, timeout: float = PATIENCE) -> float:
        """Send *size* bytes to the other host over TCP; return Mbit/s. `LabError` when not all came."""
        port = other.ask("serve_tcp")
        done = self.ask("tcp", to=other.address, port=port, size=size, timeout=timeout)
        if done["received"] != size:
            raise LabError(f"{self}: {other} received {done['received']} of {size} bytes over TCP")
        return float(size * 8 / done["seconds"] / 1e6)

    def send(self, *frames: bytes) -> None:
        """Send frames as they are."""
        self.ask("send", frames=[frame.hex() for frame in frames])

    def stream(self, frame: bytes, *, rate: float, count: int = 1 << 31, first: int = 0) -> Stream:
        """Begin to send copies of a frame with a numbered payload, *rate* a second, numbered from *first*."""
        return Stream(self, frame, first, count, rate)

    def capture(self) -> Capture:
        """Begin to keep every frame that comes."""
        return Capture(self, keep=True)

    def measure(self) -> Capture:
        """Begin to count the bytes that come, by stream and time."""
        return Capture(self, keep=False)

    def close(self) -> None:
        """End its worker, and with it the namespace. Repeatable."""
        self._child.kill()
