"""`SshNbi`: asyncssh in a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from typing import Final

import asyncssh

from dpb_framework.errors import ConfigInvalid
from dpb_nbi.serving import Footing, ListeningNbi
from dpb_nbi.ssh import hostkey, limits
from dpb_nbi.ssh.door import VIA, Door
from dpb_nbi.ssh.house import House, settle

_log = logging.getLogger("dpb_nbi")

DEFAULT_PORT: Final = 4754
_JOIN: Final = 9.0


class SshNbi(ListeningNbi[asyncssh.SSHKey]):
    """JSON frames over SSH for programs, and the commands of `dpb` for people.

    `host` is an address or a name of this machine, `port` 0 to 65535; 0 takes a free one, which `address` tells.
    `host_key` is the file of the key by which clients know the broker; it is made where it is missing, in the user's
    data folder if nothing is said. `access`: who asks must be a user with a role, shown by a public key, or with
    `passwords` by a password or token. It is needed on all addresses but loopback, where not `insecure` says that
    anybody may do anything. `audit` is the file for a line about every change. `rest_url` is where the commands of
    `dpb` find REST, if not at the one of this broker, and `rest_ca` a file of the authorities that may vouch for it.
    """

    via = VIA

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        host_key: str = "",
        access: bool = False,
        insecure: bool = False,
        passwords: bool = False,
        audit: str = "",
        rest_url: str = "",
        rest_ca: str = "",
    ) -> None:
        super().__init__(host, port, access=access, insecure=insecure, audit=audit)
        if passwords and not access:
            raise ConfigInvalid("passwords", "nobody is asked for one; set access = true")
        if rest_url and not rest_url.startswith(("http://", "https://")):
            raise ConfigInvalid("rest-url", "expected a URL such as https://broker.example:4753")
        self._host_key = host_key
        self._passwords = passwords
        self._rest = (rest_url, rest_ca)

    def prepare(self) -> asyncssh.SSHKey:
        """Read the host key, or make it."""
        return hostkey.load(self._host_key)

    def tell(self, on: Footing, prepared: asyncssh.SSHKey) -> None:
        """Say by which key clients know it, and warn."""
        _log.info("SSH at %s: the host key is %s", on.host, prepared.get_fingerprint())
        super().tell(on, prepared)
        if self.controlled and not self._passwords and not any(user.keys for user in on.access.registry.users.values()):
            _log.warning("SSH at %s: no user has a key yet; add one by dpb user add-key", on.host)

    def written(self, place: str, prepared: asyncssh.SSHKey) -> str:
        """Return host and port."""
        return place

    def serve(self, on: Footing, prepared: asyncssh.SSHKey) -> _Running:
        """Begin to answer."""
        url, authority = self._rest
        house = House(
            on.broker,
            on.access,
            on.audit,
            controlled=self.controlled,
            passwords=self._passwords,
            rest=url,
            authority=authority,
        )
        return _Running(house, on.listener, prepared)


class _Running:
    """The thread with its loop; made, it accepts connections."""

    def __init__(self, house: House, listener: socket.socket, key: asyncssh.SSHKey) -> None:
        self._house = house
        self._listener = listener
        self._key = key
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="dpb-ssh", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise ConfigInvalid("host", f"the server did not start: {self._error}")

    def _serve(self) -> None:
        try:
            with self._house.room:
                asyncio.run(self._accept())
        except Exception as error:  # noqa: BLE001  # a thread's last word: it must be heard, and nobody wait for ever
            self._error = error
            _log.exception("the SSH server ended unexpectedly")
        finally:
            self._listener.close()
            self._ready.set()

    async def _accept(self) -> None:
        self._end = asyncio.Event()
        acceptor = await asyncssh.listen(
            sock=self._listener,
            backlog=limits.BACKLOG,
            server_factory=lambda: Door(self._house),
            server_host_keys=[self._key],
            server_version="dpb",
            encoding=None,
            line_editor=False,
            compression_algs=None,
            gss_host=None,
            host_based_auth=False,
            x11_forwarding=False,
            agent_forwarding=False,
            allow_scp=False,
            login_timeout=limits.LOGIN_SECONDS,
            keepalive_interval=limits.ALIVE_SECONDS,
            keepalive_count_max=limits.ALIVE_COUNT,
        )
        watching = asyncio.ensure_future(self._house.watch_credentials())
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._end.wait()
        # A server of asyncio that is closed while a connection comes to be leaves its socket open: first no more come.
        self._loop.remove_reader(self._listener.fileno())
        await settle()
        acceptor.close()
        watching.cancel()
        await self._house.close()

    def stop(self) -> None:
        """End it."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop ended by itself
                self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_JOIN)
        if self._thread.is_alive():
            _log.error("the SSH server did not end within %g s", _JOIN)
