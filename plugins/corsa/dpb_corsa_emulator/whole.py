"""All that one switch serves: the API with its faults, and the emulator's own interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dpb_corsa_emulator import server, side
from dpb_corsa_emulator.device import Device
from dpb_corsa_emulator.faults import Faults
from dpb_corsa_emulator.interference import Interference
from dpb_corsa_emulator.rest import create_app
from dpb_corsa_emulator.tokens import Tokens


def create_whole(device: Device, tokens: Tokens, faults: Faults) -> Callable[[dict[str, Any], Any], Any]:
    """The WSGI application."""
    api = Interference(create_app(device, tokens), device, faults, server.PEER, server.cut)
    own = side.create_side(device, tokens, faults, api.restart)

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        chosen = own if path == side.BASE or path.startswith(f"{side.BASE}/") else api
        return chosen(environ, start_response)

    return serve
