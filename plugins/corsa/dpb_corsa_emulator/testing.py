"""The emulator as a child process, for whoever tests against it; needs nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PATIENCE = 30.0
"""Seconds to wait for what takes a moment on an idle machine."""


class Emulator:
    """One emulated switch in a process of its own. A restart keeps its port and, unless told otherwise, all it has."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._options = folder, options
        self.certificate, self.token_file = folder / "certificate.pem", folder / "token"
        self.log = folder / "emulator.log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, *more: str) -> None:
        """Start it, with *more* options this once; returns when it listens."""
        told = self.folder / "address.json"
        told.unlink(missing_ok=True)
        command = [sys.executable, "-m", "dpb_corsa_emulator", "--folder", str(self.folder)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{self.port}", *self._options, *more],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + PATIENCE
        while not told.exists():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError(f"the emulator does not listen: {self.log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.02)
        address = json.loads(told.read_text("utf-8"))
        self.url: str = address["url"]
        self.port = address["port"]

    @property
    def token(self) -> str:
        """The token that is valid."""
        return "".join(self.token_file.read_text("utf-8").split())

    def call(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Call the API below /api/v1/; gives the status and the answer."""
        told = {"Authorization": self.token} if headers is None else headers
        return self._call(method, f"/api/v1/{path}", body, told)

    def side(self, method: str, path: str, body: Any = None) -> Any:
        """Call the emulator's own interface below /emulator/; gives the answer."""
        status, answer = self._call(method, f"/emulator/{path}", body, {})
        if status >= 300:
            raise RuntimeError(f"{method} /emulator/{path}: {status} {answer}")
        return answer

    def fault(self, kind: str, **more: Any) -> None:
        """Switch a fault on."""
        self.side("POST", "faults", {"kind": kind, **more})

    def no_faults(self) -> None:
        """Switch all faults off."""
        self.side("DELETE", "faults")

    def calls(self) -> list[dict[str, Any]]:
        """The calls of the API that were made, oldest first."""
        made: list[dict[str, Any]] = self.side("GET", "calls")["calls"]
        return made

    def forget_calls(self) -> None:
        """Begin to note calls anew."""
        self.side("DELETE", "calls")

    def _call(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=context)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        return answer.status, json.loads(text) if text and is_json else text.decode() or None

    def kill(self) -> None:
        """End it as a loss of power does. Repeatable."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int | None:
        """End it in good order; gives the exit status, None when it was not running. Repeatable."""
        if self._process is None:
            return None
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError("SIGTERM did not end the emulator") from None
        self._process = None
        return status
