"""The document says what the interface does, and the interface does what the document says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import falcon.inspect
from dpb_nbi import create_app
from dpb_nbi.access import Access
from dpb_nbi.app import ROUTES
from dpb_nbi.openapi import document
from dpb_nbi.problems import STATUSES

from dpb_framework.model import ANYBODY, Segment

from .access_helpers import Guarded

SOAK = os.environ.get("DPB_SOAK") == "1"
EXAMPLES = 30 if SOAK else 3
"""How many requests are made up for each operation, beside those for each bound of its schema."""
CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
"""
"""A thousand segments of more ends than there may be are refused for their length alone."""
DOCS = Path(__file__).parents[3] / "docs" / "rest.md"


def test_every_route_and_method_is_in_the_document_and_the_other_way_round(broker):
    access = Access.enter(broker)
    app = create_app(broker, access)
    access.leave()
    found = {
        (route.path, method.method)
        for route in falcon.inspect.inspect_app(app).routes
        for method in route.methods
        if not method.internal and method.method not in {"HEAD", "OPTIONS"} and "/restconf/" not in route.path
    }
    told = {
        (path, method.upper())
        for path, item in document()["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert found == told


def test_the_parameters_of_queries_are_those_of_the_document():
    told = {
        (path, method.upper()): {p["name"] for p in item[method].get("parameters", ()) if p["in"] == "query"}
        for path, item in document()["paths"].items()
        for method in item
        if method != "parameters" and path.startswith("/api/v1")
    }
    assert told == {(path, method): set(ROUTES[path].queries.get(method, ())) for path, method in told}


def test_every_route_is_in_the_guide():
    text = DOCS.read_text(encoding="utf-8")
    first, v1 = text.split("## `/api/v1`")
    for path in ROUTES:
        if path.startswith("/network/"):
            whole = path.removeprefix("/network/{network}")
            last = whole.rpartition("/")[2]
            assert any(f"`{words}`" in first for words in (whole, f"/{last}")), path
        else:
            short = re.sub(r"^/api/v1/networks/\{network\}(?=/[a-z])", "…", path)
            whole = f"`{path}`" in v1 or f"`{short}`" in v1
            assert whole or f"`{short.rpartition('/')[2]}`" in v1, path


def test_every_status_of_the_table_is_in_the_guide():
    text = DOCS.read_text(encoding="utf-8")
    for status in {*STATUSES.values(), 405, 409, 413}:
        assert f"\n| {status} |" in text


def test_the_document_is_served_as_it_is(client):
    answer = client.get("/api/v1/openapi.json")
    assert answer.json == document()
    assert answer.headers["content-type"] == "application/json"


def test_every_reference_leads_somewhere_and_every_schema_is_used():
    text = json.dumps(document())
    used = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert used == set(document()["components"]["schemas"])


def leaning(schema, *known):
    """A schema that accepts the same, and of which half of what is generated is *known*."""
    return {"anyOf": [{"enum": list(known)}, schema]}


def led():
    """The document, leaning to names and ids that are there, so that what is generated reaches the networks."""
    found = json.loads(json.dumps(document()))
    known = {"network": ("aggr", "slough"), "id": range(1, 21), "terminal": ("a", "x", "new"), "trunk": ("t1", "t2")}
    known |= {"user": ("ann", "bob"), "token": ("0123456789ab",), "key": ("0123456789abcdef",)}
    for item in found["paths"].values():
        for parameter in item.get("parameters", ()):
            parameter["schema"] = leaning(parameter["schema"], *known[parameter["name"]])
    schemas = found["components"]["schemas"]
    for end, name in (
        (schemas["Segment"]["items"], "terminal"),
        (schemas["FirstDefinition"]["properties"]["segment"]["items"], "terminal-name"),
    ):
        end["properties"][name] = leaning(end["properties"][name], "a", "b", "c", "x", "y")
    for name in ("NewTrunk", "TrunkSettings", "TrunkChange"):
        sides = schemas[name]["properties"]
        sides["start"] = leaning(sides["start"], "left:p", "left:q")
        sides["end"] = leaning(sides["end"], "right:p", "right:q")
    for name in ("NewTerminal", "TerminalSettings"):
        places = schemas[name]["properties"]
        places["place"] = leaning(places["place"], "left:p", "right:q", "port-1")
    return found


def schemathesis(location, folder, *options):
    """Run it; return its report when it finds something, else nothing."""
    (folder / "schemathesis.toml").write_text(CONFIGURATION, encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(location), "--seed", "7", "--continue-on-failure"),
            # A stream has no end; what it sends is tested where streams are.
            *(
                "--checks",
                "all",
                "--exclude-path-regex",
                "/(events|mirror)$",
                "--suppress-health-check",
                "all",
                "--no-color",
            ),
            *("--generation-database", "none", "--warnings", "off", "--request-timeout", "20", *options),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_schemathesis_finds_nothing_where_things_are(nbi, broker, tmp_path):
    for network in (broker.aggregator, broker.switch):
        for i in range(20):
            network.create(ANYBODY, handle=f"h{i}")
        ends = [(name, 1, 1000, 1000) for name in network.terminals()[-2:]]
        network.service(1).define(Segment.of(*ends), ANYBODY)
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(led()), encoding="utf-8")
    # Valid by its schema and refused all the same: terminals and circuits are the network's matter, not the schema's. A
    # release takes its time: until then the service is still there to see.
    report = schemathesis(
        path,
        tmp_path,
        *("--url", nbi.address, "--max-examples", str(EXAMPLES), "--phases", "coverage,fuzzing"),
        *("--exclude-checks", "positive_data_acceptance,use_after_free"),
    )
    assert not report, report[-5000:]


def test_schemathesis_finds_nothing_where_access_is_controlled(broker, tmp_path):
    guarded = Guarded(broker)
    token = guarded.token("root", "manage@*")
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document(controlled=True)), encoding="utf-8")
    # What there is only here, and of a network a little: all of it is tried above (and with each credential elsewhere).
    here = r"/(users|tokens)(/|$)|/networks(/\{network\}/services)?$"
    some = () if SOAK else ("--include-path-regex", here)
    report = schemathesis(
        path,
        tmp_path,
        *("--url", guarded.nbi.address, "--header", f"Authorization: Bearer {token}", "--max-examples", str(EXAMPLES)),
        *("--exclude-checks", "positive_data_acceptance", "--phases", "coverage,fuzzing", *some),
    )
    guarded.stop()
    assert not report, report[-5000:]


def test_schemathesis_finds_nothing_with_names_from_anywhere(nbi, tmp_path):
    options = ("--max-examples", str(EXAMPLES), "--exclude-checks", "positive_data_acceptance")
    if not SOAK:  # each bound of each schema is tried above
        options += ("--phases", "examples,fuzzing,stateful")
    report = schemathesis(f"{nbi.address}/api/v1/openapi.json", tmp_path, *options)
    assert not report, report[-5000:]
