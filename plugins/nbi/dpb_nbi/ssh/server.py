"""`SshNbi`: asyncssh in a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from typing import Final

import asyncssh

from dpb_framework.contracts import BrokerApi, Nbi
from dpb_framework.errors import ConfigInvalid
from dpb_nbi import listening
from dpb_nbi.access import Access, Audit
from dpb_nbi.limits import connections
from dpb_nbi.ssh import hostkey, limits
from dpb_nbi.ssh.door import VIA, Door
from dpb_nbi.ssh.house import House, settle

_log = logging.getLogger("dpb_nbi")

DEFAULT_PORT: Final = 4754
_JOIN: Final = 9.0


class SshNbi(Nbi):
    """JSON frames over SSH for programs, and the commands of `dpb` for people.

    `host` is an address or a name of this machine, `port` 0 to 65535; 0 takes a free one, which `address` tells.
    `host_key` is the file of the key by which clients know the broker; it is made where it is missing, in the user's
    data folder if nothing is said. `access`: who asks must be a user with a role, shown by a public key, or with
    `passwords` by a password or token. It is needed on all addresses but loopback, where not `insecure` says that
    anybody may do anything. `audit` is the file for a line about every change. `rest_url` is where the commands of
    `dpb` find REST, if not at the one of this broker, and `rest_ca` a file of the authorities that may vouch for it.
    """

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
        listening.check_place(host, port)
        if access and insecure:
            raise ConfigInvalid("insecure", "access is controlled already; leave one of the two out")
        if passwords and not access:
            raise ConfigInvalid("passwords", "nobody is asked for one; set access = true")
        if rest_url and not rest_url.startswith(("http://", "https://")):
            raise ConfigInvalid("rest-url", "expected a URL such as https://broker.example:4753")
        self._place = (host, port)
        self._host_key = host_key
        self._controlled = access
        self._insecure = insecure
        self._passwords = passwords
        self._audit_path = audit
        self._rest = (rest_url, rest_ca)
        with contextlib.suppress(ValueError):  # a name: what it stands for is seen when it is bound
            self._check_exposure(host)
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._access: Access | None = None
        self._audit: Audit | None = None
        self._address = ""

    def _check_exposure(self, address: str) -> None:
        listening.check_exposure(address, controlled=self._controlled, insecure=self._insecure)

    @property
    def address(self) -> str:
        """Host and port; empty while it is not started."""
        return self._address

    def start(self, broker: BrokerApi) -> None:
        """Bind and answer. `ConfigInvalid` names the setting when the address or the host key cannot be had."""
        with self._lock:
            if self._running is not None:
                return
            key = hostkey.load(self._host_key)
            listener = listening.bind(*self._place)
            try:
                host, port = listener.getsockname()[:2]
                self._check_exposure(host)
                if self._audit_path or self._controlled:
                    self._audit = Audit(self._audit_path, VIA)
                    self._audit.start()
                self._access = Access.enter(broker)
                self._tell(host, key)
                self._running = _Running(self._house(broker), listener, key)
            except BaseException:
                listener.close()
                self._leave()
                raise
            self._address = listening.place(host, port)

    def _house(self, broker: BrokerApi) -> House:
        assert self._access is not None
        url, authority = self._rest
        return House(
            broker,
            self._access,
            self._audit,
            controlled=self._controlled,
            passwords=self._passwords,
            rest=url,
            authority=authority,
        )

    def _tell(self, host: str, key: asyncssh.SSHKey) -> None:
        """Say what an operator should know."""
        assert self._access is not None
        _log.info("SSH at %s: the host key is %s", host, key.get_fingerprint())
        if self._insecure and not listening.is_loopback(host):
            _log.warning("SSH at %s: anybody who reaches it may do anything (insecure = true)", host)
        if self._controlled and not self._access.registry.users:
            _log.warning("SSH at %s: there are no users yet; make one by dpb admin-token, dpb user add-key", host)

    def _leave(self) -> None:
        access, audit = self._access, self._audit
        self._access = self._audit = None
        if audit is not None:
            audit.close()
        if access is not None:
            access.leave()

    def stop(self) -> None:
        """End. What waits ends at once, answers under way get a few seconds."""
        with self._lock:
            running, self._running = self._running, None
            self._address = ""
            if running is not None:
                running.stop()
                self._leave()


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
            asyncio.run(self._accept())
        except Exception as error:  # noqa: BLE001  # a thread's last word: it must be heard, and nobody wait for ever
            self._error = error
            _log.exception("the SSH server ended unexpectedly")
        finally:
            self._listener.close()
            self._ready.set()

    async def _accept(self) -> None:
        self._end = asyncio.Event()
        connections()  # as many files as the process may have
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
