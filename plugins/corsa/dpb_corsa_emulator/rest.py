"""The management API over HTTP, as a WSGI application: exactly the calls of the reference."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import falcon

from dpb_corsa_emulator import bridges, documents, tunnels
from dpb_corsa_emulator.device import BackendFault, Device
from dpb_corsa_emulator.tokens import Tokens
from dpb_corsa_emulator.values import Refused, State, Tunnel

log = logging.getLogger(__name__)

BASE = "/api/v1"
MAX_BODY = 1_000_000


def create_app(device: Device, tokens: Tokens) -> Any:
    """The WSGI application."""
    app: Any = falcon.App(middleware=[Authorization(tokens)])
    app.req_options.strip_url_path_trailing_slash = True
    answer_errors(app)
    for path, resource in (
        ("", Root),
        ("/bridges", Bridges),
        ("/bridges/{name}", OneBridge),
        ("/bridges/{name}/controllers", Controllers),
        ("/bridges/{name}/controllers/{identity}", OneController),
        ("/bridges/{name}/tunnels", Tunnels),
        ("/bridges/{name}/tunnels/{ofport}", OneTunnel),
    ):
        app.add_route(BASE + path, resource(device))
    return app


def answer_errors(app: Any) -> None:
    """Have errors answered in the words of the API."""
    app.add_error_handler(Refused, _refused)
    app.add_error_handler(BackendFault, _broken)
    app.add_error_handler(falcon.HTTPError, _http)


class Authorization:
    """Lets nobody in without a token that is valid."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def process_request(self, req: Any, _resp: Any) -> None:
        """Check one call, whatever its path."""
        self._tokens.check(req.get_header("Authorization"))


def _refused(_req: Any, resp: Any, refused: Refused, _params: Any) -> None:
    resp.status = refused.status
    resp.media = {"message": refused.message}


def _broken(req: Any, resp: Any, fault: BackendFault, _params: Any) -> None:
    log.error("%s %s: %s", req.method, req.path, fault)
    _refused(req, resp, Refused(500, str(fault)), None)


def _http(req: Any, resp: Any, error: Any, _params: Any) -> None:
    status = falcon.http_status_to_code(error.status)
    message = {404: f"no such resource: {req.path}", 405: f"{req.method} is not for {req.path}"}.get(status)
    for name, value in (error.headers or {}).items():
        resp.set_header(name, value)
    _refused(req, resp, Refused(status, message or error.description or error.title or "refused"), None)


def body_of(req: Any) -> Any:
    """The JSON body."""
    chunked = req.content_length is None and req.get_header("Transfer-Encoding") is not None
    stream = req.stream if chunked else req.bounded_stream
    data = stream.read(MAX_BODY + 1)
    if len(data) > MAX_BODY:
        while stream.read(65536):  # or the client never comes to read the answer
            pass
        raise Refused(413, f"the body is above {MAX_BODY} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as fault:
        raise Refused(400, f"the body is not JSON: {fault}") from None


class _Resource:
    def __init__(self, device: Device) -> None:
        self._device = device

    @property
    def _state(self) -> State:
        return self._device.state

    @staticmethod
    def _base(req: Any) -> str:
        return f"{req.prefix}{BASE}"

    def _change(self, step: Callable[[State], State]) -> State:
        return self._device.change(step)

    def _told(self, ofport: int, held: Tunnel) -> dict[str, Any]:
        return documents.tunnel(ofport, held, self._device.is_up(held.port))

    def _created(self, resp: Any, location: str, body: dict[str, Any]) -> None:
        resp.status, resp.location, resp.media = 201, location, body


class Root(_Resource):
    """Where everything is."""

    def on_get(self, req: Any, resp: Any) -> None:
        """The links."""
        resp.media = documents.root(self._base(req))


class Bridges(_Resource):
    """All bridges."""

    def on_get(self, req: Any, resp: Any) -> None:
        """Their links, or all of them."""
        state, base = self._state, self._base(req)
        if req.get_param_as_bool("list"):
            resp.media = {
                "list": [documents.bridge(base, name, state.bridges[name]) for name in documents.ordered(state)]
            }
        else:
            resp.media = documents.bridges(base, self._device.limits, state)

    def on_post(self, req: Any, resp: Any) -> None:
        """Create one."""
        body, base = body_of(req), self._base(req)
        state = self._change(lambda state: bridges.create(state, self._device.limits, body))
        name = body["bridge"]
        self._created(resp, f"{base}/bridges/{name}", documents.bridge(base, name, state.bridges[name]))


class OneBridge(_Resource):
    """One bridge."""

    def on_get(self, req: Any, resp: Any, name: str) -> None:
        """Tell it."""
        resp.media = documents.bridge(self._base(req), name, bridges.bridge_of(self._state, name))

    def on_patch(self, req: Any, resp: Any, name: str) -> None:
        """Change some of it."""
        body = body_of(req)
        self._change(lambda state: bridges.change(state, self._device.limits, name, body))
        resp.status = 204

    def on_delete(self, _req: Any, resp: Any, name: str) -> None:
        """Delete it."""
        self._change(lambda state: bridges.delete(state, name))
        resp.status = 204


class Controllers(_Resource):
    """The controllers of a bridge."""

    def on_get(self, req: Any, resp: Any, name: str) -> None:
        """Their links."""
        held = bridges.bridge_of(self._state, name).controllers
        resp.media = documents.links(f"{self._base(req)}/bridges/{name}/controllers", held)

    def on_post(self, req: Any, resp: Any, name: str) -> None:
        """Attach one."""
        body = body_of(req)
        state = self._change(lambda state: bridges.attach_controller(state, name, body))
        identity = body["controller"]
        held = state.bridges[name].controllers[identity]
        self._created(
            resp,
            f"{self._base(req)}/bridges/{name}/controllers/{identity}",
            documents.controller(identity, held, documents.Connection()),
        )


class OneController(_Resource):
    """One controller of a bridge."""

    def on_get(self, _req: Any, resp: Any, name: str, identity: str) -> None:
        """Tell it."""
        held = bridges.controller_of(self._state, name, identity)
        resp.media = documents.controller(identity, held, self._device.backend.connection(name, identity))

    def on_delete(self, _req: Any, resp: Any, name: str, identity: str) -> None:
        """Detach it."""
        self._change(lambda state: bridges.detach_controller(state, name, identity))
        resp.status = 204


class Tunnels(_Resource):
    """The tunnels of a bridge."""

    def on_get(self, req: Any, resp: Any, name: str) -> None:
        """Their links, or all of them."""
        held = bridges.bridge_of(self._state, name).tunnels
        if req.get_param_as_bool("list"):
            resp.media = {"list": [self._told(ofport, held[ofport]) for ofport in sorted(held)]}
        else:
            base = f"{self._base(req)}/bridges/{name}/tunnels"
            resp.media = documents.links(base, (str(ofport) for ofport in sorted(held)))

    def on_post(self, req: Any, resp: Any, name: str) -> None:
        """Attach one."""
        body = body_of(req)
        state = self._change(lambda state: tunnels.attach(state, self._device.limits, name, body))
        ofport = body["ofport"]
        location = f"{self._base(req)}/bridges/{name}/tunnels/{ofport}"
        self._created(resp, location, self._told(ofport, state.bridges[name].tunnels[ofport]))


class OneTunnel(_Resource):
    """One tunnel of a bridge."""

    def on_get(self, _req: Any, resp: Any, name: str, ofport: str) -> None:
        """Tell it."""
        resp.media = self._told(*tunnels.tunnel_of(self._state, name, ofport))

    def on_patch(self, req: Any, resp: Any, name: str, ofport: str) -> None:
        """Change some of it."""
        body = body_of(req)
        self._change(lambda state: tunnels.change(state, name, ofport, body))
        resp.status = 204

    def on_delete(self, _req: Any, resp: Any, name: str, ofport: str) -> None:
        """Detach it."""
        self._change(lambda state: tunnels.detach(state, name, ofport))
        resp.status = 204
