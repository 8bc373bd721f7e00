"""A relay between switches and their controller that can be told to misbehave, as networks do."""

from __future__ import annotations

import contextlib
import socket
import threading
from enum import Enum

from dpb_lab.namespace import Namespace

ADDRESS = "127.0.0.1"
_HEADER = 8


class Message(Enum):
    """Types of OpenFlow 1.3 messages that a fault may wait for."""

    FLOW_MOD = 14
    GROUP_MOD = 15
    BARRIER_REQUEST = 20
    METER_MOD = 29


class Relay:
    """Listens at *port* inside the namespace and passes everything on to *to*. A context manager."""

    def __init__(self, namespace: Namespace, port: int, to: int) -> None:
        self._namespace, self._to = namespace, to
        with namespace.inside():
            self._listening = socket.create_server((ADDRESS, port))
        self.target = f"tcp:{ADDRESS}:{port}"
        self._open = threading.Event()
        self._open.set()
        self._refusing = False
        self._cut_at: Message | None = None
        self._after: Message | None = None
        self._hold_at: Message | None = None
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.struck = threading.Event()
        """Set once the fault that was asked for has happened."""

    def __enter__(self) -> Relay:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._refusing = True
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        self._open.set()
        for thread in self._threads:
            thread.join()

    def hold(self) -> None:
        """From now on nothing comes through, either way; connections stay."""
        self._open.clear()

    def go_on(self) -> None:
        """Let everything through again, what was held first; forget faults that have not happened."""
        self._cut_at = self._hold_at = self._after = None
        self._refusing = False
        self._open.set()

    def cut(self) -> None:
        """End every connection; new ones are taken."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _end(*pair)

    def refuse(self) -> None:
        """End every connection and take no more, until `go_on`."""
        self._refusing = True
        self.cut()

    def cut_at(self, message: Message, after: Message | None = None) -> None:
        """Lose the next such message of the controller's, end all connections, and take no more until `go_on`.

        With *after* the next one when one of that kind has passed: barriers are sent by audits, too.
        """
        self.struck.clear()
        self._after, self._cut_at = after, message

    def hold_at(self, message: Message) -> None:
        """From the next such message of the controller's on nothing comes through, until `go_on`."""
        self.struck.clear()
        self._hold_at = message

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                if self._refusing:
                    raise ConnectionRefusedError
                with self._namespace.inside():
                    far = socket.create_connection((ADDRESS, self._to), 5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._pairs.append((near, far))
            for pump in (self._from_switch, self._from_controller):
                thread = threading.Thread(target=pump, args=(near, far), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _from_switch(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 16):
                self._open.wait()
                far.sendall(data)
        _end(near, far)
        near.close()

    def _from_controller(self, near: socket.socket, far: socket.socket) -> None:
        held = b""
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                held += data
                while len(held) >= _HEADER and len(held) >= (length := int.from_bytes(held[2:4], "big")):
                    message, held = held[:length], held[length:]
                    self._strike(message[1])
                    self._open.wait()
                    near.sendall(message)
        _end(near, far)
        far.close()

    def _strike(self, kind: int) -> None:
        if self._after is not None:
            self._after = None if kind == self._after.value else self._after
        elif self._cut_at is not None and kind == self._cut_at.value:
            self._cut_at = None
            self._refusing = True
            self.struck.set()
            self.cut()
            raise ConnectionResetError
        if self._hold_at is not None and kind == self._hold_at.value:
            self._hold_at = None
            self.hold()
            self.struck.set()


def _end(*ends: socket.socket) -> None:
    for one in ends:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)  # each is closed by the thread that receives from it
