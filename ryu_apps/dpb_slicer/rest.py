"""Both REST interfaces over HTTP: /slicer/api/v2 for the broker's adaptor, /slicer/api/v1 for old clients."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import falcon

from dpb_slicer import __version__, cookies, first
from dpb_slicer.books import Wish
from dpb_slicer.compat import caller_waits
from dpb_slicer.errors import BadArgument, BadJson, SlicerError, UnknownSlice, UnknownSwitch
from dpb_slicer.switch import Switch, describe
from dpb_slicer.switches import Switches
from dpb_slicer.words import Words

MAX_BODY = 4_000_000
MAX_KEY = 512
PROBLEM = "application/problem+json"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def create_app(switches: Switches, words: Words) -> Any:
    """The WSGI application, for the controller application with these *words*."""
    app: Any = falcon.App(sink_before_static_route=True)
    app.req_options.strip_url_path_trailing_slash = True
    app.add_error_handler(SlicerError, _answer)
    app.add_error_handler(falcon.HTTPError, _answer_http)
    base = "/slicer/api/v2"
    app.add_route(base, Root(switches, words))
    app.add_route(f"{base}/events", Events(switches, words))
    app.add_route(f"{base}/{{dpid}}", One(switches, words))
    app.add_route(f"{base}/{{dpid}}/slices", Slices(switches, words))
    app.add_route(f"{base}/{{dpid}}/retain", Retain(switches, words))
    app.add_route(f"{base}/{{dpid}}/slices/{{key}}", OneSlice(switches, words))
    app.add_route("/slicer/api/v1/config/{dpid}", First(switches, words))
    return Decoding(app)


class Decoding:
    """Keeps a key one path segment: servers decode %2F before an application sees it; the raw path is taken instead."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Serve one request."""
        raw = environ.get("REQUEST_URI") or environ.get("RAW_PATH_INFO")
        if raw:
            path = raw.partition("?")[0]
            if path.startswith("http"):
                path = "/" + path.split("/", 3)[3]
            environ["dpb.path"] = path
            segments = path.split("/")
            if len(segments) == 7 and segments[5] == "slices":
                environ["dpb.key"] = unquote(segments[6])
                environ["PATH_INFO"] = "/".join([*segments[:6], "key"])
        return self._app(environ, start_response)


def problem(status: int, code: str, detail: str, facts: dict[str, Any]) -> dict[str, Any]:
    """A problem in the words of RFC 9457."""
    title = falcon.code_to_http_status(status).partition(" ")[2]
    return {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail, **facts}


def problem_of(error: SlicerError) -> dict[str, Any]:
    """An error as a problem."""
    return problem(error.status, error.code, str(error), error.facts())


def _answer(_req: Any, resp: Any, error: SlicerError, _params: Any) -> None:
    resp.status = error.status
    resp.content_type = PROBLEM
    resp.data = json.dumps(problem_of(error)).encode()


def _answer_http(_req: Any, resp: Any, error: Any, _params: Any) -> None:
    status = falcon.http_status_to_code(error.status)
    code = {404: "not-found", 405: "wrong-method", 413: "too-large"}.get(status, "http")
    resp.status = status
    for name, value in (error.headers or {}).items():
        resp.set_header(name, value)
    resp.content_type = PROBLEM
    resp.data = json.dumps(problem(status, code, error.description or error.title or code, {})).encode()


def body_of(req: Any) -> Any:
    """The JSON body."""
    length = req.content_length
    if length is None and req.get_header("Transfer-Encoding") is None:
        length = 0
    if (length or 0) > MAX_BODY:
        for _ in range(min(length or 0, 64_000_000) // 65536 + 1):  # or the client never reads the answer
            req.bounded_stream.read(65536)
        raise falcon.HTTPContentTooLarge(description=f"the body is above {MAX_BODY} bytes")
    data = req.bounded_stream.read() if length is not None else req.stream.read(MAX_BODY + 1)
    if len(data) > MAX_BODY:
        raise falcon.HTTPContentTooLarge(description=f"the body is above {MAX_BODY} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as fault:
        raise BadJson(str(fault)) from None


def waiting(req: Any) -> Callable[[], bool]:
    """What tells whether the caller of *req* is still there to be answered."""
    return lambda: caller_waits(req.env)


def _object(value: Any, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadArgument("$", "an object is wanted")
    if unknown := sorted(set(value) - known):
        raise BadArgument(f"$.{unknown[0]}", f"unknown; known are {', '.join(sorted(known))}")
    return value


def key_of(text: object, field: str) -> str:
    """Take a key."""
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_KEY or _CONTROL.search(text):
        raise BadArgument(field, f"a text of 1 to {MAX_KEY} characters without control characters is wanted")
    return text


class _Resource:
    def __init__(self, switches: Switches, words: Words) -> None:
        self.switches, self.words = switches, words

    def switch(self, dpid: str) -> Switch:
        """The switch of a path."""
        if not re.fullmatch(r"[0-9a-fA-F]{16}", dpid):
            raise UnknownSwitch(dpid)
        return self.switches.get(dpid.lower())


class Root(_Resource):
    """The application and its switches."""

    def on_get(self, _req: Any, resp: Any) -> None:
        """All switches."""
        resp.media = {
            "application": self.words.application,
            "version": __version__,
            "instance": self.switches.instance,
            "switches": {switch.dpid: describe(switch) for switch in self.switches.all()},
            "refused": list(self.switches.refused),
            "last-event": self.switches.events.last,
        }


class Events(_Resource):
    """What happened."""

    def on_get(self, req: Any, resp: Any) -> None:
        """Wait for events."""
        after, wait = (self._number(req, name) for name in ("after", "wait"))
        resp.media = self.switches.events.after(after, min(wait, 60))

    @staticmethod
    def _number(req: Any, name: str) -> int:
        text = req.get_param(name) or "0"
        if not re.fullmatch(r"[0-9]{1,15}", text):
            raise BadArgument(name, "a whole number is wanted")
        return int(text)


class One(_Resource):
    """One switch."""

    def on_get(self, _req: Any, resp: Any, dpid: str) -> None:
        """What it is."""
        resp.media = describe(self.switch(dpid))


class Slices(_Resource):
    """The slices of a switch."""

    def on_get(self, _req: Any, resp: Any, dpid: str) -> None:
        """What is really there."""
        switch = self.switch(dpid)
        named, unnamed = {}, []
        for cookie, slice_ in switch.really().items():
            holding = switch.books.holdings.get(cookie)
            if holding is not None and holding.kind == "v1":
                continue
            if holding is not None and holding.key is not None:
                named[holding.key] = self.words.slice_data(slice_)
            else:
                unnamed.append({"cookie": f"{cookie:#018x}", **self.words.slice_data(slice_)})
        resp.media = {"slices": named, "unnamed": unnamed}

    def on_post(self, req: Any, resp: Any, dpid: str) -> None:
        """A batch."""
        switch = self.switch(dpid)
        told = _object(body_of(req), {"slices"}).get("slices")
        if not isinstance(told, dict):
            raise BadArgument("$.slices", "an object of slices by key is wanted")
        answers: dict[str, Any] = dict.fromkeys(told)
        wishes: dict[int, Wish] = {}
        keys: dict[int, str] = {}
        for key, value in told.items():
            try:
                wish = Wish(key_of(key, "key"), self.words.slice_of(value))
                cookie = free_cookie(switch, key, keys)
            except SlicerError as error:
                answers[key] = problem_of(error)
            else:
                wishes[cookie], keys[cookie] = wish, key
        for cookie, refusal in switch.change(wishes, waiting(req)).items():
            answers[keys[cookie]] = problem_of(refusal) if refusal is not None else None
        resp.media = {"slices": answers}


def free_cookie(switch: Switch, key: str, others: dict[int, str]) -> int:
    """The key's cookie, unless another key has the very same digest."""
    cookie = cookies.cookie_of(key)
    holding = switch.books.holdings.get(cookie)
    taken = others.get(cookie) or (holding.key if holding is not None else None)
    if taken is not None and taken != key:
        raise BadArgument("key", f"another key, {taken!r}, has the same digest: choose another")
    return cookie


class OneSlice(_Resource):
    """One slice."""

    def on_get(self, req: Any, resp: Any, dpid: str, key: str) -> None:
        """What is really there."""
        switch, name = self._of(req, dpid, key)
        found = switch.really().get(cookies.cookie_of(name))
        if found is None:
            raise UnknownSlice(name)
        resp.media = self.words.slice_data(found)

    def on_put(self, req: Any, resp: Any, dpid: str, key: str) -> None:
        """Make or change it."""
        switch, name = self._of(req, dpid, key)
        slice_ = self.words.slice_of(body_of(req))
        cookie = free_cookie(switch, name, {})
        self._do(switch, cookie, Wish(name, slice_), req)
        resp.media = self.words.slice_data(slice_)

    def on_delete(self, req: Any, resp: Any, dpid: str, key: str) -> None:
        """Remove it."""
        switch, name = self._of(req, dpid, key)
        self._do(switch, free_cookie(switch, name, {}), Wish(name, None), req)
        resp.status = 204

    def _of(self, req: Any, dpid: str, key: str) -> tuple[Switch, str]:
        return self.switch(dpid), key_of(req.env.get("dpb.key", key), "key")

    @staticmethod
    def _do(switch: Switch, cookie: int, wish: Wish, req: Any) -> None:
        error = switch.change({cookie: wish}, waiting(req))[cookie]
        if error is not None:
            raise error


class Retain(_Resource):
    """What is to stay."""

    def on_post(self, req: Any, resp: Any, dpid: str) -> None:
        """Remove the others."""
        switch = self.switch(dpid)
        body = _object(body_of(req), {"prefix", "keys"})
        prefix, keys = body.get("prefix"), body.get("keys")
        if not isinstance(prefix, str):
            raise BadArgument("$.prefix", "a text is wanted")
        if not isinstance(keys, list):
            raise BadArgument("$.keys", "an array of keys is wanted")
        checked = [key_of(key, f"$.keys[{place}]") for place, key in enumerate(keys)]
        resp.media = {"removed": switch.remove_others(prefix, checked, waiting(req))}


class First(_Resource):
    """The first interface."""

    def on_get(self, _req: Any, resp: Any, dpid: str) -> None:
        """The circuit sets."""
        resp.media = first.sets(self.switch(dpid), self.words)

    def on_post(self, req: Any, resp: Any, dpid: str) -> None:
        """Change them."""
        body = body_of(req)
        switch = self.switch(dpid)
        first.change(switch, self.words, body, waiting(req))
        resp.media = first.sets(switch, self.words)
