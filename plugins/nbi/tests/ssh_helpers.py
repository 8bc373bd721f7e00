"""A broker behind `SshNbi`, and clients that speak frames to it: asyncssh's in a test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct

import asyncssh
from dpb_nbi import SshNbi
from dpb_nbi.access import Access

from dpb_framework.broker import Broker
from dpb_framework.config import parse

PATIENCE = 20.0

TRUNK = {
    "start-network-name": "left",
    "start-terminal-name": "b",
    "end-network-name": "right",
    "end-terminal-name": "b",
}
TURNED = {
    "start-network-name": "right",
    "start-terminal-name": "b",
    "end-network-name": "left",
    "end-terminal-name": "b",
}


def frame(content, session=1):
    body = json.dumps({"session": session, "content": content}).encode()
    return struct.pack(">I", len(body)) + body


def make_key():
    key = asyncssh.generate_private_key("ssh-ed25519", comment="a test's")
    return key, key.export_public_key().decode()


def real_broker(folder):
    """Two emulated switches, an aggregator over them, a store in memory; no interface."""
    switches = [{"name": name, "kind": "switch", "fabric": "emulated"} for name in ("left", "right")]
    aggregator = {"name": "aggr", "kind": "aggregator", "inferiors": ["left", "right"]}
    return Broker(parse({"store": {"kind": "memory"}, "nbi": [], "network": [*switches, aggregator]}, folder))


class Served:
    """`SshNbi` over a broker; by default anybody may do anything."""

    def __init__(self, broker, folder, **settings):
        self.broker = broker
        self.access = Access.enter(broker)
        self.nbi = SshNbi(port=0, host_key=str(folder / "host_key"), **settings)
        self._start()

    def _start(self):
        self.nbi.start(self.broker)
        host, _, port = self.nbi.address.rpartition(":")
        self.place = (host, int(port))

    def restart(self):
        self.nbi.stop()
        self._start()

    @property
    def house(self):
        return self.nbi._server._house

    def user(self, name, *roles, password=None, key=None):
        self.access.change(lambda registry: registry.set_user(name, roles, password)).result(10)
        if key is not None:
            self.access.change(lambda registry: registry.add_key(name, key)).result(10)

    def run(self, test):
        """Run the coroutine function *test* with this, in a loop of its own."""

        async def settled():
            try:
                await asyncio.wait_for(test(self), 60)
            finally:
                for _ in range(8):  # what was closed gets to its end
                    await asyncio.sleep(0)

        asyncio.run(settled())

    def connect(self, user="ann", key=None, password=None, **more):
        host, port = self.place
        keys = [key] if key is not None else None
        return asyncssh.connect(
            host, port, username=user, client_keys=keys, password=password, known_hosts=None, agent_path=None,
            config=None, **more,
        )  # fmt: skip

    def stop(self):
        self.nbi.stop()
        self.access.leave()


class Talk:
    """One channel with frames."""

    def __init__(self, process):
        self.process = process
        self.number = 1000

    @classmethod
    async def open(cls, connection, network):
        made = cls(await connection.create_process(network, encoding=None))
        made.greeting = await made.read()
        return made

    def send(self, content, session=1):
        self.process.stdin.write(frame(content, session))

    async def read(self):
        async with asyncio.timeout(PATIENCE):
            (size,) = struct.unpack(">I", await self.process.stdout.readexactly(4))
            return json.loads(await self.process.stdout.readexactly(size))

    async def ask(self, type_, **fields):
        """Ask in a session of its own and return the answer's content; names of fields with hyphens."""
        self.number += 1
        self.send({"type": type_, **{name.replace("_", "-"): value for name, value in fields.items()}}, self.number)
        answer = await self.read()
        assert answer["session"] == self.number, answer
        return answer["content"]

    async def ok(self, type_, **fields):
        content = await self.ask(type_, **fields)
        assert "error" not in content, content
        return content

    async def end(self):
        """Send no more; return what still came, and the exit status."""
        self.process.stdin.write_eof()
        return await self.rest()

    async def rest(self):
        found = []
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                found.append(await self.read())
        async with asyncio.timeout(PATIENCE):
            await self.process.wait_closed()
        return found, self.process.exit_status


async def build(connection):
    """Make the topology: terminals l and r of the aggregator, over one trunk of 100 Mbit/s."""
    for name in ("left", "right"):
        below = await Talk.open(connection, name)
        for terminal in ("a", "b", "c"):
            await below.ok("add-terminal", terminal_name=terminal, terminal_config=f"phys.{ord(terminal)}")
        await below.end()
    talk = await Talk.open(connection, "aggr")
    await talk.ok("map-terminal", terminal_name="l", subnetwork_name="left", subterminal_name="a")
    await talk.ok("map-terminal", terminal_name="r", subnetwork_name="right", subterminal_name="a")
    await talk.ok("add-trunk", **TRUNK)
    await talk.ok("increase-trunk-bw", **TRUNK, upstream_bw=100, downstream_bw=50)
    await talk.ok("define-trunk-label-range", **TRUNK, start_label=10, label_count=10, end_label=20)
    return talk


def segment(label=5, rate=1, names="lr"):
    return [{"terminal-name": name, "label": label, "ingress-bw": rate, "egress-bw": rate} for name in names]
