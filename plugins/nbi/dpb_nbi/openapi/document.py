"""The document: what each route takes, and every answer that it can give."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from dpb_nbi.codec import MAX_ID, MAX_QUIET, MIN_QUIET
from dpb_nbi.openapi.schemas import SCHEMAS, STATUS, TEXT, WAIT, array, ref

_PROBLEMS: Final = {
    400: "The body is no JSON, or is missing.",
    401: "No credential, or none that holds.",
    403: "The role that `role` names is needed, or the service is another owner's.",
    404: "There is no such network, service, terminal, trunk, user or token, or none that the caller may know of.",
    409: "The state of the network refuses.",
    413: "The body is longer than 1 MB.",
    422: "A field is missing, superfluous, of the wrong type or out of range.",
    429: "The caller has too many event streams, mirrors or waiting calls open.",
    500: "A fault that nobody foresaw; the log tells more.",
    503: "The store cannot keep the change, an inferior cannot be reached, or the broker is stopping.",
}
_BODY: Final = (400, 413, 422)
_PATH: Final[dict[str, dict[str, Any]]] = {
    "network": {**TEXT, "minLength": 1},
    "terminal": {**TEXT, "minLength": 1},
    "trunk": {**TEXT, "minLength": 1},
    "user": {**TEXT, "minLength": 1},
    "token": {**TEXT, "minLength": 1},
    "key": {**TEXT, "minLength": 1},
    "id": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
}


_SCHEMES: Final[dict[str, dict[str, str]]] = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of dpb token create."},
    "password": {"type": "http", "scheme": "basic", "description": "A user with password, or with a token for one."},
}


def _query(name: str, schema: dict[str, Any], description: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description, "required": required}


def _await_query(name: str) -> list[dict[str, Any]]:
    return [
        _query(name, array(STATUS, minItems=1), "The statuses to wait for; repeated, or with commas.", required=True),
        _query("timeout-millis", WAIT, "How long to wait; 30 s when left out."),
    ]


def problem(status: int) -> dict[str, Any]:
    """Return what is told of answers with an error's *status*."""
    return {
        "description": _PROBLEMS[status],
        "content": {"application/problem+json": {"schema": ref("Problem")}},
    }


def _operation(
    name: str,
    summary: str,
    answer: str | None,
    *problems: int,
    status: int = 200,
    also: int | None = None,
    body: str | None = None,
    body_required: bool = True,
    query: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done."}
    if answer is not None:
        success["content"] = {"application/json": {"schema": ref(answer)}}
    responses: dict[str, Any] = {str(status): success}
    if also is not None:
        responses[str(also)] = success
    for code in sorted({*problems, *(_BODY if body else ()), 401, 403, 500}):
        responses[str(code)] = problem(code)
    found: dict[str, Any] = {"operationId": name, "summary": summary, "responses": responses}
    if body is not None:
        found["requestBody"] = {
            "required": body_required,
            "content": {"application/json": {"schema": ref(body)}},
        }
    if query:
        found["parameters"] = query
    return found


def _first() -> dict[str, dict[str, Any]]:
    root = "/network/{network}"
    define = ("Define the service and wait until it is established.", "Nothing", 404, 409, 503)
    paths = {
        f"{root}/services": {"get": _operation("first-services", "List the ids of the services.", "FirstIds", 404)},
        f"{root}/create-service": {
            "post": _operation("first-create", "Make a service.", "FirstId", 404, 409, 503),
        },
        f"{root}/service/{{id}}/define": {
            "post": _operation("first-define", *define, body="FirstDefinition"),
            "put": _operation("first-define-put", *define, body="FirstDefinition"),
        },
        f"{root}/service/{{id}}/await-status": {
            "get": _operation(
                "first-await", "Wait for a status.", "FirstStatus", 404, 422, 429, 503, query=_await_query("acceptable")
            ),
            "post": _operation(
                "first-await-post", "Wait for a status.", "FirstStatus", 404, 429, 503, body="FirstAwait"
            ),
        },
    }
    for command in ("activate", "deactivate", "reset", "release"):
        paths[f"{root}/service/{{id}}/{command}"] = {
            "post": _operation(f"first-{command}", f"{command.capitalize()} the service.", "Nothing", 404, 409, 503)
        }
    return paths


def _topology(root: str) -> dict[str, dict[str, Any]]:
    return {
        f"{root}/terminals": {
            "get": _operation("terminals", "List the terminals.", "Terminals", 404),
            "post": _operation(
                "new-terminal", "Make a terminal.", "Terminal", 404, 409, 503, status=201, body="NewTerminal"
            ),
        },
        f"{root}/terminals/{{terminal}}": {
            "get": _operation("terminal", "Show a terminal.", "Terminal", 404),
            "put": _operation(
                "put-terminal", "Make or change a terminal.", "Terminal", 404, 409, 503, body="TerminalSettings"
            ),
            "delete": _operation("remove-terminal", "Remove a terminal.", None, 404, 409, 503, status=204),
        },
        f"{root}/trunks": {
            "get": _operation("trunks", "List the trunks and what is left of each.", "Trunks", 404),
            "post": _operation("new-trunk", "Make a trunk.", "Trunk", 404, 409, 503, status=201, body="NewTrunk"),
        },
        f"{root}/trunks/{{trunk}}": {
            "get": _operation("trunk", "Show a trunk and what is left of it.", "Trunk", 404),
            "put": _operation("put-trunk", "Make or change a trunk.", "Trunk", 404, 409, 503, body="TrunkSettings"),
            "patch": _operation("change-trunk", "Change some of a trunk.", "Trunk", 404, 409, 503, body="TrunkChange"),
            "delete": _operation("remove-trunk", "Remove a trunk.", None, 404, 409, 503, status=204),
        },
    }


def _services(root: str) -> dict[str, dict[str, Any]]:
    one = f"{root}/{{id}}"
    filters = [
        _query("handle-prefix", TEXT, "Only services whose handle begins so."),
        _query("status", array(STATUS, minItems=1), "Only services that are so; repeated, or with commas."),
    ]
    paths = {
        root: {
            "get": _operation("services", "List the services.", "Services", 404, 422, query=filters),
            "post": _operation(
                "new-service",
                "Make a service, and define and activate it if asked to; 200 when its handle was known.",
                "Service",
                404,
                409,
                503,
                status=201,
                also=200,
                body="NewService",
                body_required=False,
            ),
        },
        one: {
            "get": _operation("service", "Show a service.", "Service", 404),
            "delete": _operation("delete-service", "Release a service.", "Service", 404, 409, 503),
        },
        f"{one}/define": {
            "post": _operation(
                "define",
                "Define a service and wait until it is established.",
                "Service",
                404,
                409,
                503,
                body="Definition",
            )
        },
        f"{one}/prepare": {
            "post": _operation(
                "prepare",
                "Prepare a change and wait until it is prepared.",
                "Service",
                404,
                409,
                503,
                body="Definition",
            )
        },
        f"{one}/await": {
            "get": _operation(
                "await", "Wait for a status.", "Service", 404, 422, 429, 503, query=_await_query("status")
            )
        },
    }
    for command in ("activate", "deactivate", "reset", "release", "commit", "abort"):
        paths[f"{one}/{command}"] = {
            "post": _operation(command, f"{command.capitalize()} the service.", "Service", 404, 409, 503)
        }
    return paths


def _accounts(root: str) -> dict[str, dict[str, Any]]:
    return {
        f"{root}/users": {"get": _operation("users", "List the users.", "Users")},
        f"{root}/users/{{user}}": {
            "put": _operation("set-user", "Make or change a user.", "User", 409, 503, body="UserSettings"),
            "delete": _operation("remove-user", "Remove a user with all tokens.", None, 404, 503, status=204),
        },
        f"{root}/users/{{user}}/keys": {
            "post": _operation(
                "add-key", "Let a user in by a public key.", "PublicKey", 404, 503, status=201, body="NewKey"
            ),
        },
        f"{root}/users/{{user}}/keys/{{key}}": {
            "delete": _operation("remove-key", "Let a user in by it no more.", None, 404, 503, status=204),
        },
        f"{root}/tokens": {
            "get": _operation("tokens", "List the tokens.", "Tokens"),
            "post": _operation("new-token", "Make a token.", "MadeToken", 404, 503, status=201, body="NewToken"),
        },
        f"{root}/tokens/{{token}}": {
            "delete": _operation("revoke-token", "Revoke a token.", None, 404, 503, status=204),
        },
    }


def _orders() -> dict[str, Any]:
    found = _operation("orders", "Give many orders about services at once.", None, body="Orders")
    found["responses"]["200"] = {
        "description": "A line of JSON for each order, as soon as it is answered: `order`, its place in the list; "
        "`status`, `moment`; and `service` (a Service) or `problem` (a Problem), as its own request would be answered.",
        "content": {"application/x-ndjson": {"schema": TEXT}},
    }
    return found


def _events() -> dict[str, Any]:
    found = _operation(
        "events", "Stream what happens in a network, after the event that was seen last.", None, 404, 422, 429
    )
    found["responses"]["200"] = {
        "description": "Server-sent events.",
        "content": {"text/event-stream": {"schema": TEXT}},
    }
    number = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
    found["parameters"] = [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "schema": number,
            "description": "Wins over `after`.",
            "required": False,
        },
        _query("after", number, "Begin after the event of this number."),
    ]
    return found


def _mirror() -> dict[str, Any]:
    found = _events()
    found["operationId"] = "mirror"
    found["summary"] = "Tell all that a superior needs to know of a network, and from then on every change."
    quiet = {"type": "integer", "minimum": MIN_QUIET, "maximum": MAX_QUIET}
    found["parameters"].append(_query("quiet-millis", quiet, "How often a comment line comes while nothing happens."))
    return found


def document(*, controlled: bool = False) -> dict[str, Any]:
    """Return the OpenAPI document, as plain data; where access is *controlled* it asks for a credential."""
    root = "/api/v1"
    network = f"{root}/networks/{{network}}"
    paths: dict[str, dict[str, Any]] = {
        **_first(),
        f"{root}/health": {"get": _operation("health", "Tell how the broker is.", "Health")},
        f"{root}/openapi.json": {"get": _operation("description", "Describe the interface.", "Document")},
        **_accounts(root),
        f"{root}/orders": {"post": _orders()},
        f"{root}/networks": {"get": _operation("networks", "List the networks.", "Networks")},
        network: {"get": _operation("network", "Show a network.", "Network", 404)},
        f"{network}/model": {"get": _operation("model", "Tell what a superior sees of the network.", "Model", 404)},
        **_topology(network),
        f"{network}/plans": {
            "post": _operation(
                "plan",
                "Tell what would become of segments; nothing is reserved.",
                "Plans",
                404,
                409,
                503,
                body="Question",
            )
        },
        **_services(f"{network}/services"),
        f"{network}/events": {"get": _events()},
        f"{network}/mirror": {"get": _mirror()},
    }
    for path, item in paths.items():
        if path.startswith(root):
            for operation in item.values():  # of whatever has a query that it does not know
                operation["responses"].setdefault("422", problem(422))
        named = [name for name in _PATH if f"{{{name}}}" in path]
        if named:
            item["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": _PATH[name]} for name in named
            ]
    paths[f"{root}/health"]["get"]["security"] = []
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "DataPlane Broker",
            "version": version("dpb-nbi"),
            "description": "Layer-2 services between terminals of networks. Rates are Mbit/s, delays milliseconds.",
        },
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": _SCHEMES},
    }
    if controlled:
        found["security"] = [{name: []} for name in _SCHEMES]
    return found
