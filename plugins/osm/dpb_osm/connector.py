"""The connector: what RO asks of a WIM, in terms of the broker's services.

A connectivity service is a service of the broker whose handle is made from its uuid. So a request that is sent twice
makes one service, an id that means another service by now is noticed, and what was left behind is found again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from dpb_osm import points as translate
from dpb_osm.account import read_account, read_table
from dpb_osm.base import ConnectorBase, ConnectorError, fault
from dpb_osm.cleaner import Cleaner
from dpb_osm.client import Client
from dpb_osm.status import explain, told

PREFIX = "osm-"
"""How the handles of connectivity services begin."""


class DpbConnector(ConnectorBase):  # type: ignore[misc]  # the base is RO's, where RO is
    """A network of a DataPlane Broker as a WIM.

    Blocking; may be used from several threads. Every method raises RO's error with the broker's reason and an HTTP
    status: 400 for what RO gave, 401 and 403 for credentials, 404 for a service that is not there, 409 for what the
    network refuses, 503 while the broker is away.
    """

    def __init__(self, wim: Any, wim_account: Any = None, config: Any = None, logger: Any = None) -> None:
        account = wim if wim_account is None else wim_account
        self._account = read_account(wim, account, config)
        super().__init__(wim, account, read_table(config, "config"), logger)  # RO's base reads a table only
        self._client = Client(self._account)
        self._known: str | None = self._account.network
        self._cleaner = Cleaner(self._sweep, self.logger)

    # -- what RO calls

    def check_credentials(self) -> None:
        """Raise RO's error unless the broker is there, has the network, and lets us in."""
        self._client.ask("GET", "networks", self._network())

    def create_connectivity_service(
        self, service_type: str, connection_points: Sequence[Mapping[str, Any]], **kwargs: Any
    ) -> tuple[str, dict[str, Any]]:
        """Set up a service and return its uuid and `conn_info`.

        Returns when the service carries traffic or, where devices are slow, after the account's `timeout` at the
        latest. Nothing is left behind when it raises; when the broker goes away in the middle, what it may have made
        is released as soon as it is back.
        """
        kind = translate.check_type(service_type)
        bandwidth = kwargs.get("bandwidth")
        wanted = translate.segment(self._account, kind, connection_points, bandwidth)
        service_uuid = str(uuid.uuid4())
        handle = PREFIX + service_uuid
        body = {"handle": handle, "segment": wanted, "activate": True}
        network = self._network()
        lost: list[str] = []
        try:
            service = self._client.ask("POST", "networks", network, "services", body=body, lost=lost)
            service = self._await(network, service["id"], "ACTIVE", "FAILED")
            if service["status"] in ("DORMANT", "FAILED", "RELEASED"):
                raise fault(explain(service), 409)
            return service_uuid, self._info(network, service, kind, connection_points, wanted, bandwidth)
        except BaseException as error:
            self._take_back(network, handle, late=bool(lost) or not isinstance(error, ConnectorError))
            raise

    def get_connectivity_service_status(
        self, service_uuid: str, conn_info: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return `sdn_status` (and the same as `wim_status`), with `error_msg` and `sdn_info` where there is more."""
        return told(self._find(service_uuid, conn_info))

    def edit_connectivity_service(
        self,
        service_uuid: str,
        conn_info: Mapping[str, Any] | None = None,
        connection_points: Sequence[Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Change the end points without interrupting those that stay; return the whole new `conn_info`.

        A change that is refused leaves the service as it is. One that devices refuse after all is undone, which
        interrupts the service, and is RO's error with 409.
        """
        service = self._find(service_uuid, conn_info)
        info = read_table(conn_info, "conn_info")
        network = self._network()
        before = info.get("ends", [])
        points = info.get("connection_points", []) if connection_points is None else connection_points
        bandwidth = kwargs.get("bandwidth", info.get("bandwidth"))
        # A service that was a line may become one with more ends: RO gives the new set, never a new type.
        kind = info.get("service_type", "ELAN")
        wanted = translate.segment(self._account, "ELAN" if len(points) > 2 else kind, points, bandwidth, before)
        service = self._await(network, service["id"], "ACTIVE", "INACTIVE", "FAILED")
        if service["status"] == "DORMANT":
            self._command(network, service["id"], "define", {"segment": wanted})
            self._command(network, service["id"], "activate")
        else:
            self._change(network, service, wanted)
        found = self._await(network, service["id"], "ACTIVE", "FAILED")
        if found["status"] == "FAILED":
            why = explain(found)
            if service["status"] == "DORMANT" or self._quietly(lambda: self._restore(network, service)):
                raise fault(why, 409)
            raise fault(f"{why}; the service could not be put back", 409)
        return self._info(network, found, kind, points, wanted, bandwidth)

    def delete_connectivity_service(self, service_uuid: str, conn_info: Mapping[str, Any] | None = None) -> None:
        """Release the service and wait until all that it held is free, for the account's `timeout` at most.

        One that is not there is RO's error with 404, which counts as deleted.
        """
        service = self._find(service_uuid, conn_info)
        self._release(self._network(), service["id"])

    def clear_all_connectivity_services(self) -> None:
        """Release every service of this network that was made through this interface, whoever asked for it."""
        network = self._network()
        services = self._services(network)
        for service in services:
            self._drop(network, service["id"])
        for service in services:
            self._await(network, service["id"], "RELEASED")

    def get_all_active_connectivity_services(self) -> list[dict[str, Any]]:
        """Return the services of this network that carry traffic: uuid, status and end points of each."""
        return [
            {"service_uuid": _uuid(service), **told(service), "segment": service["segment"]}
            for service in self._services(self._network())
            if service["status"] == "ACTIVE"
        ]

    # -- what the broker is asked

    def _network(self) -> str:
        """Return the network's name: the configured one, or the one that is nobody's inferior."""
        if self._known is None:
            listed = self._client.ask("GET", "networks")["networks"]
            inferior = {name for network in listed for name in network.get("inferiors", ())}
            top = [network["name"] for network in listed if network["name"] not in inferior]
            if len(top) != 1:
                problem = f"the broker has {', '.join(sorted(top)) or 'no network'}; name the one to use in the config"
                raise fault(f"config.network: {problem}", 400)
            self._known = str(top[0])
        return self._known

    def _services(self, network: str, handle: str = PREFIX) -> list[dict[str, Any]]:
        found = self._client.ask("GET", "networks", network, "services", query={"handle-prefix": handle})
        return list(found["services"])

    def _find(self, service_uuid: str, conn_info: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the service. Its id is a short cut: what counts is the handle."""
        network, handle = self._network(), PREFIX + str(service_uuid)
        known = read_table(conn_info, "conn_info").get("service_id")
        if known is not None:
            try:
                service = self._client.ask("GET", "networks", network, "services", known)
                if service["handle"] == handle:
                    return dict(service)
            except ConnectorError as error:
                if error.http_code != 404:
                    raise
        for service in self._services(network, handle):
            if service["handle"] == handle:
                return dict(service)
        raise fault(f"network {network!r} has no connectivity service {service_uuid}", 404)

    def _command(self, network: str, service: int, verb: str, body: Any = None) -> dict[str, Any]:
        wait = 30.0 if verb in ("define", "prepare") else 0.0
        answer = self._client.ask("POST", "networks", network, "services", service, verb, body=body, wait=wait)
        return dict(answer)

    def _await(self, network: str, service: int, *statuses: str) -> dict[str, Any]:
        seconds = self._account.timeout
        query = {"status": list(statuses), "timeout-millis": int(seconds * 1000)}
        answer = self._client.ask("GET", "networks", network, "services", service, "await", query=query, wait=seconds)
        return dict(answer)

    def _change(self, network: str, service: Mapping[str, Any], wanted: list[dict[str, Any]]) -> None:
        """Prepare, commit, and wait until all devices follow; a change that somebody left behind gives way."""
        number = service["id"]
        if service["change"] in ("preparing", "prepared"):
            self._command(network, number, "abort")
        if service["change"] != "none":
            self._await_change(network, number)  # if it lasts longer, the broker says so
        try:
            prepared = self._command(network, number, "prepare", {"segment": wanted})
            if prepared["change"] == "preparing":
                raise fault("the network did not prepare the change in time; it was withdrawn", 504)
        except BaseException:
            self._quietly(lambda: self._command(network, number, "abort"))
            raise
        self._command(network, number, "commit")
        self._await_change(network, number)  # it is decided and durable: if it lasts longer, the status tells

    def _await_change(self, network: str, service: int) -> None:
        """Wait until no change is under way, for the account's `timeout` at most."""
        deadline = time.monotonic() + self._account.timeout
        while self._client.ask("GET", "networks", network, "services", service)["change"] != "none":
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)

    def _drop(self, network: str, service: int) -> None:
        """Have the service released; the broker sees to it from then on."""
        self._client.ask("DELETE", "networks", network, "services", service)

    def _release(self, network: str, service: int) -> None:
        self._drop(network, service)
        self._await(network, service, "RELEASED")

    def _info(
        self, network: str, service: Mapping[str, Any], kind: str, points: Any, wanted: Any, bandwidth: Any
    ) -> dict[str, Any]:
        """Return what RO keeps for us: plain data."""
        return {
            "network": network,
            "service_id": service["id"],
            "service_type": kind,
            "bandwidth": bandwidth,
            "ends": translate.ends(points, wanted, service.get("segment") or ()),
            "connection_points": translate.plain(points),
        }

    # -- the way back

    def _restore(self, network: str, service: Mapping[str, Any]) -> None:
        """Give a service that FAILED after a change its old end points again. Raises RO's error if it stays so.

        None is changed while it is FAILED: it is deactivated meanwhile, and keeps what it holds.
        """
        try:
            self._command(network, service["id"], "deactivate")
            self._change(network, self._await(network, service["id"], "INACTIVE"), service["segment"])
        finally:
            if service["status"] == "ACTIVE":
                self._command(network, service["id"], "activate")
        found = self._await(network, service["id"], "ACTIVE", "FAILED")
        if found["status"] == "FAILED":
            raise fault(explain(found), 409)

    def _take_back(self, network: str, handle: str, *, late: bool) -> None:
        """Release whatever has that handle at once; if the broker is away or it may yet come, in the background."""
        clean = self._quietly(lambda: self._release_handle(network, handle))
        if late or not clean:
            self.logger.warning("%s may be left in network %s; it is released when it is found", handle, network)
            self._cleaner.add(handle, once=not late)

    def _sweep(self, handles: frozenset[str]) -> frozenset[str]:
        """Release what has one of *handles*; return those of which nothing is left. Never waits for devices."""
        network = self._network()
        left: set[str] = set(handles)

        def look() -> None:
            found = self._services(network, next(iter(handles)) if len(handles) == 1 else PREFIX)
            left.intersection_update(service["handle"] for service in found)
            for service in found:
                if service["handle"] in left:
                    self._drop(network, service["id"])
                    left.remove(service["handle"])

        self._quietly(look)
        return handles.difference(left)

    def _release_handle(self, network: str, handle: str) -> None:
        for service in self._services(network, handle):
            if service["handle"] == handle:
                self._release(network, service["id"])

    def _quietly(self, call: Any) -> bool:
        """Whether *call* succeeded: on the way back the first error is the one that counts."""
        try:
            call()
        except ConnectorError as error:
            self.logger.info("%s", error)
            return False
        return True


def _uuid(service: Mapping[str, Any]) -> str:
    return str(service["handle"])[len(PREFIX) :]
