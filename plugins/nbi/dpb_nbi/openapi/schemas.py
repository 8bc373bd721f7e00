"""The schemas of what goes in and what comes out. Requests and answers are strict: no field that is not named here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dpb_framework.model import MAX_KBPS, MAX_LABEL, Change, Desired, Status
from dpb_nbi.access.credentials import MAX_PASSWORD, MIN_PASSWORD
from dpb_nbi.access.keys import MAX_LINE
from dpb_nbi.access.registry import MAX_NAME
from dpb_nbi.codec import MAX_ENDS, MAX_HANDLE, MAX_ID, MAX_ORDERS, MAX_SEGMENTS, MAX_WAIT
from dpb_nbi.topology_codec import MAX_RANGES
from dpb_nbi.values import MAX_DELAY, MOMENT

Schema = dict[str, Any]

_NAME_PATTERN: Final = r"^[^\s/:\u0000-\u001f\u007f]{1,128}$"
_TEXT_PATTERN: Final = r"^[^\u0000-\u001f\u007f-\u009f]*$"
_HALF: Final = r"[^\s/:\u0000-\u001f\u007f]{1,128}"


def ref(name: str) -> Schema:
    """A reference to one of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def table(properties: Mapping[str, Any], optional: tuple[str, ...] = (), **more: Any) -> Schema:
    """An object with exactly these fields, all needed but the *optional* ones."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
        **more,
    }


def array(items: Schema, **more: Any) -> Schema:
    """An array of *items*."""
    return {"type": "array", "items": items, **more}


def nullable(schema: Schema) -> Schema:
    """*schema*, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


TEXT: Final[Schema] = {"type": "string"}
TRUTH: Final[Schema] = {"type": "boolean"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
NAME: Final[Schema] = {"type": "string", "pattern": _NAME_PATTERN}
STATUS: Final[Schema] = {"type": "string", "enum": [status.value for status in Status]}
WAIT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MAX_WAIT, "description": "Milliseconds to wait."}
_ID: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_HANDLE: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": MAX_HANDLE, "pattern": _TEXT_PATTERN}
_LABEL: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MAX_LABEL}
_RATE: Final[Schema] = {
    "type": "number",
    "minimum": 0,
    "maximum": MAX_KBPS // 1000,
    "multipleOf": 0.001,
    "description": "Mbit/s, at most three decimals.",
}
_DELAY: Final[Schema] = {
    "type": "number",
    "minimum": 0,
    "maximum": MAX_DELAY,
    "multipleOf": 0.001,
    "description": "Milliseconds, at most three decimals.",
}
_PLACE: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": _TEXT_PATTERN}
_END_OF_TRUNK: Final[Schema] = {"type": "string", "pattern": f"^{_HALF}:{_HALF}$"}


def _positive(schema: Schema) -> Schema:
    return {**schema, "exclusiveMinimum": 0}


def _segment(terminal: str, ingress: str, egress: str, label: Schema) -> Schema:
    end = table({terminal: TEXT, "label": nullable(label), ingress: _RATE, egress: _RATE}, optional=("label",))
    end["anyOf"] = [{"properties": {ingress: _positive(_RATE)}}, {"properties": {egress: _positive(_RATE)}}]
    words = "No circuit twice; a label left out or null is chosen by the broker."
    return array(end, minItems=2, maxItems=MAX_ENDS, description=words)


_TERMINAL: Final[Schema] = {
    "name": NAME,
    "place": {**_PLACE, "description": "A switch: the fabric's interface. An aggregator: `inferior:terminal`."},
    "ingress-quota": nullable(_RATE),
    "egress-quota": nullable(_RATE),
    "labels": array(
        array(_LABEL, minItems=2, maxItems=2), minItems=1, maxItems=MAX_RANGES, description="Ranges: first and last."
    ),
}
_LABEL_RANGE: Final[Schema] = {
    "start": _LABEL,
    "count": {"type": "integer", "minimum": 1, "maximum": MAX_LABEL + 1},
    "end": _LABEL,
}
_TRUNK: Final[Schema] = {
    "name": NAME,
    "start": _END_OF_TRUNK,
    "end": _END_OF_TRUNK,
    "upstream": _RATE,
    "downstream": nullable(_RATE),
    "delay": nullable(_DELAY),
    "labels": nullable(
        array(table({**_LABEL_RANGE, "end": nullable(_LABEL)}, optional=("end",)), minItems=1, maxItems=MAX_RANGES)
    ),
    "commissioned": nullable(TRUTH),
}
_TRUNK_SETTINGS: Final = ("downstream", "delay", "labels", "commissioned")
_NAMED: Final = ("avoid-trunks", "avoid-networks", "pass-trunks", "pass-networks")
_TERMINAL_SETTINGS: Final = ("ingress-quota", "egress-quota", "labels")
_TERMINAL_ASKED: Final = {**_TERMINAL, "labels": nullable(_TERMINAL["labels"])}

_ROLES: Final[Schema] = array(
    {"type": "string", "pattern": r"^(read|control|manage)@(\*|[^\s/:\u0000-\u001f\u007f]{1,128})$"},
    description="`ROLE@NETWORK`, each network once; `*` is every network.",
)
_MOMENT: Final[Schema] = {"type": "string", "pattern": f"^{MOMENT.pattern}$", "description": "RFC 3339."}
_TOKEN: Final[Schema] = {
    "id": TEXT,
    "user": TEXT,
    "name": TEXT,
    "roles": nullable(_ROLES),
    "created": TEXT,
    "expires": nullable(TEXT),
}

SCHEMAS: Final[dict[str, Schema]] = {
    "Problem": {
        "type": "object",
        "properties": {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "code": {**TEXT, "description": "The error's own name."},
            "detail": {**TEXT, "description": "One line for people."},
            "field": {**TEXT, "description": "The field that is wrong, such as `segment[1].label`."},
        },
        "required": ["type", "title", "status", "code", "detail"],
        "description": "The error's facts are further members; rates among them are kbit/s.",
    },
    "Nothing": table({}),
    "FirstIds": table({"service-ids": array(COUNT)}),
    "FirstId": table({"service-id": COUNT}),
    "FirstDefinition": table(
        {
            "segment": _segment(
                "terminal-name",
                "ingress-bw",
                "egress-bw",
                {"anyOf": [_LABEL, {"type": "string", "pattern": "^[0-9]{1,7}$"}]},
            )
        }
    ),
    "FirstAwait": table(
        {"acceptable": array(STATUS, minItems=1), "timeout-millis": WAIT}, optional=("timeout-millis",)
    ),
    "FirstStatus": table({"status": STATUS}),
    "Health": {
        "type": "object",
        "properties": {"status": {"type": "string", "enum": ["ok", "degraded"]}},
        "required": ["status"],
    },
    "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
    "Network": table(
        {
            "name": TEXT,
            "kind": TEXT,
            "terminals": array(TEXT),
            "inferiors": array(TEXT),
            "services": COUNT,
            "last-event": COUNT,
        }
    ),
    "Networks": table({"networks": array(ref("Network"))}),
    "Model": table(
        {
            "fragments": array(
                table(
                    {
                        "terminals": array(TEXT),
                        "chords": nullable(
                            array(
                                table({"a": TEXT, "b": TEXT, "upstream": _RATE, "downstream": _RATE, "delay": _DELAY})
                            )
                        ),
                    }
                )
            )
        }
    ),
    "Terminal": table({**_TERMINAL, "name": TEXT, "place": TEXT}),
    "Terminals": table({"terminals": array(ref("Terminal"))}),
    "NewTerminal": table(_TERMINAL_ASKED, optional=_TERMINAL_SETTINGS),
    "TerminalSettings": table(
        {name: schema for name, schema in _TERMINAL_ASKED.items() if name != "name"}, optional=_TERMINAL_SETTINGS
    ),
    "Trunk": table(
        {
            **_TRUNK,
            "name": TEXT,
            "start": TEXT,
            "end": TEXT,
            "downstream": _RATE,
            "delay": _DELAY,
            "labels": array(table(_LABEL_RANGE)),
            "commissioned": TRUTH,
            "upstream-left": _RATE,
            "downstream-left": _RATE,
            "labels-left": COUNT,
            "services": array(COUNT),
        }
    ),
    "Trunks": table({"trunks": array(ref("Trunk"))}),
    "NewTrunk": table({**_TRUNK, "name": nullable(NAME)}, optional=("name", *_TRUNK_SETTINGS)),
    "TrunkSettings": table(
        {name: schema for name, schema in _TRUNK.items() if name != "name"}, optional=_TRUNK_SETTINGS
    ),
    "TrunkChange": table({name: schema for name, schema in _TRUNK.items() if name != "name"}, optional=tuple(_TRUNK)),
    "Segment": _segment("terminal", "ingress", "egress", _LABEL),
    "Constraints": table(
        {**dict.fromkeys(_NAMED, nullable(array(TEXT))), "max-delay": nullable(_DELAY)},
        optional=(*_NAMED, "max-delay"),
    ),
    "Definition": table(
        {"segment": ref("Segment"), "constraints": nullable(ref("Constraints")), "wait": nullable(TRUTH)},
        optional=("constraints", "wait"),
    ),
    "Asked": table({"segment": ref("Segment"), "constraints": nullable(ref("Constraints"))}, optional=("constraints",)),
    "Question": table(
        {
            "segment": nullable(ref("Segment")),
            "constraints": nullable(ref("Constraints")),
            "segments": nullable(array(ref("Asked"), maxItems=MAX_SEGMENTS)),
            "failed": nullable(array(TEXT)),
            "drained": nullable(array(TEXT)),
            "added": nullable(array(ref("NewTrunk"))),
        },
        optional=("segment", "constraints", "segments", "failed", "drained", "added"),
    ),
    "Plan": table(
        {
            "fits": TRUTH,
            "service": nullable(COUNT),
            "tree": array(
                table(
                    {
                        "trunk": TEXT,
                        "upstream": _RATE,
                        "downstream": _RATE,
                        "upstream-left": _RATE,
                        "downstream-left": _RATE,
                        "labels-left": COUNT,
                    }
                )
            ),
            "chords": array(TEXT),
            "networks": array(TEXT),
            "cost": COUNT,
            "note": TEXT,
            "error": nullable(table({"code": TEXT, "text": TEXT, "facts": {"type": "object"}})),
        }
    ),
    "Plans": table({"plans": array(ref("Plan"))}),
    "NewService": table(
        {
            "handle": nullable(_HANDLE),
            "segment": nullable(ref("Segment")),
            "constraints": nullable(ref("Constraints")),
            "activate": nullable(TRUTH),
        },
        optional=("handle", "segment", "constraints", "activate"),
    ),
    "Order": {
        "oneOf": [
            table(
                {
                    "order": {"const": "create"},
                    "network": TEXT,
                    "handle": nullable(_HANDLE),
                    "segment": nullable(ref("Segment")),
                    "constraints": nullable(ref("Constraints")),
                },
                optional=("handle", "segment", "constraints"),
            ),
            table(
                {
                    "order": {"enum": ["define", "prepare"]},
                    "network": TEXT,
                    "service": _ID,
                    "segment": ref("Segment"),
                    "constraints": nullable(ref("Constraints")),
                },
                optional=("constraints",),
            ),
            table(
                {
                    "order": {"enum": ["activate", "deactivate", "reset", "release", "commit", "abort"]},
                    "network": TEXT,
                    "service": _ID,
                }
            ),
        ]
    },
    "Orders": table(
        {
            "orders": array(
                {"anyOf": [ref("Order"), {"description": "What is no Order is answered by a problem in its place."}]},
                minItems=1,
                maxItems=MAX_ORDERS,
            )
        }
    ),
    "Service": table(
        {
            "id": COUNT,
            "network": TEXT,
            "handle": nullable(TEXT),
            "owner": TEXT,
            "status": STATUS,
            "desired": {"type": "string", "enum": [desired.value for desired in Desired]},
            "change": {"type": "string", "enum": [change.value for change in Change]},
            "segment": nullable(
                array(table({"terminal": TEXT, "label": nullable(_LABEL), "ingress": _RATE, "egress": _RATE}))
            ),
            "constraints": nullable(ref("Constraints")),
            "error": nullable(table({"code": TEXT, "text": TEXT, "facts": {"type": "object"}})),
            "conditions": array(table({"kind": TEXT, "where": TEXT, "text": TEXT})),
            "tree": array(table({"trunk": TEXT, "label": _LABEL, "upstream": _RATE, "downstream": _RATE})),
        },
        optional=("tree",),
    ),
    "Services": table({"services": array(ref("Service"))}),
    "User": table(
        {"name": TEXT, "roles": _ROLES, "password": TRUTH, "keys": array(ref("PublicKey"))},
        description="`password`: whether it has one.",
    ),
    "PublicKey": table({"id": TEXT, "type": TEXT, "fingerprint": TEXT, "comment": TEXT}),
    "NewKey": table({"key": {"type": "string", "maxLength": MAX_LINE}}, description="A line as in `id_ed25519.pub`."),
    "Users": table({"users": array(ref("User"))}),
    "UserSettings": table(
        {
            "roles": nullable(_ROLES),
            "password": nullable(
                {"type": "string", "minLength": MIN_PASSWORD, "maxLength": MAX_PASSWORD, "pattern": _TEXT_PATTERN}
            ),
        },
        optional=("roles", "password"),
    ),
    "Token": table(_TOKEN),
    "Tokens": table({"tokens": array(ref("Token"))}),
    "NewToken": table(
        {
            "user": TEXT,
            "name": nullable({"type": "string", "maxLength": MAX_NAME, "pattern": _TEXT_PATTERN}),
            "roles": nullable(_ROLES),
            "expires": nullable(_MOMENT),
        },
        optional=("name", "roles", "expires"),
    ),
    "MadeToken": table({**_TOKEN, "token": {**TEXT, "description": "The token itself; it is never told again."}}),
}
"""Every schema, by name."""
