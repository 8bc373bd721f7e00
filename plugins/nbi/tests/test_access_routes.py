"""Every route and method against every kind of credential: a route that is not in the table here fails the test."""

from __future__ import annotations

import falcon.inspect
import pytest
from dpb_nbi.access import registry as registry_module
from dpb_nbi.app import create_app
from dpb_nbi.l2vpn.resources import PREFIX
from dpb_nbi.resource import Resource

from .access_helpers import Guarded, basic
from .fake_network import FakeBroker

V1, N1, FIRST = "/api/v1", "/api/v1/networks/{network}", "/network/{network}"

VPNS = f"/network/{{network}}{PREFIX}"
PUBLIC = {("GET", f"{V1}/health")}
ANYONE = {("GET", f"{V1}/openapi.json"), ("GET", f"{V1}/networks"), ("POST", f"{V1}/orders")}
"""What every user may ask; each order is checked for itself."""
READ = {
    ("GET", f"{FIRST}/services"),
    ("GET", f"{FIRST}/service/{{id}}/await-status"),
    ("POST", f"{FIRST}/service/{{id}}/await-status"),
    ("GET", N1),
    ("GET", f"{N1}/model"),
    ("GET", f"{N1}/terminals"),
    ("GET", f"{N1}/terminals/{{terminal}}"),
    ("GET", f"{N1}/trunks"),
    ("GET", f"{N1}/trunks/{{trunk}}"),
    ("GET", f"{N1}/services"),
    ("GET", f"{N1}/services/{{id}}"),
    ("GET", f"{N1}/services/{{id}}/await"),
    ("GET", f"{N1}/events"),
    ("GET", f"{N1}/mirror"),
    ("POST", f"{N1}/plans"),
    ("GET", f"{VPNS}/vpn-services"),
    ("GET", f"{VPNS}/vpn-services/vpn-service={{vpn}}"),
    ("GET", f"{VPNS}/sites/site={{site}}/site-network-accesses"),
}
CONTROL = {
    ("POST", f"{FIRST}/create-service"),
    ("PUT", f"{FIRST}/service/{{id}}/define"),
    *(("POST", f"{FIRST}/service/{{id}}/{verb}") for verb in ("define", "activate", "deactivate", "reset", "release")),
    ("POST", f"{N1}/services"),
    ("DELETE", f"{N1}/services/{{id}}"),
    *(
        ("POST", f"{N1}/services/{{id}}/{verb}")
        for verb in ("define", "activate", "deactivate", "reset", "release", "prepare", "commit", "abort")
    ),
}
CONTROL |= {
    ("POST", VPNS),
    ("POST", f"{VPNS}/vpn-services"),
    ("DELETE", f"{VPNS}/vpn-services"),
    ("DELETE", f"{VPNS}/vpn-services/vpn-service={{vpn}}"),
    ("POST", f"{VPNS}/sites/site={{site}}/site-network-accesses"),
    ("PUT", f"{VPNS}/sites/site={{site}}/site-network-accesses"),
    ("PUT", f"{VPNS}/sites/site={{site}}/site-network-accesses/site-network-access={{access}}"),
    ("DELETE", f"{VPNS}/sites/site={{site}}/site-network-accesses/site-network-access={{access}}"),
}
MANAGE = {
    ("POST", f"{N1}/terminals"),
    ("PUT", f"{N1}/terminals/{{terminal}}"),
    ("DELETE", f"{N1}/terminals/{{terminal}}"),
    ("POST", f"{N1}/trunks"),
    ("PUT", f"{N1}/trunks/{{trunk}}"),
    ("PATCH", f"{N1}/trunks/{{trunk}}"),
    ("DELETE", f"{N1}/trunks/{{trunk}}"),
}
MANAGE_ALL = {
    ("GET", f"{V1}/users"),
    ("PUT", f"{V1}/users/{{user}}"),
    ("DELETE", f"{V1}/users/{{user}}"),
    ("POST", f"{V1}/users/{{user}}/keys"),
    ("DELETE", f"{V1}/users/{{user}}/keys/{{key}}"),
    ("GET", f"{V1}/tokens"),
    ("POST", f"{V1}/tokens"),
    ("DELETE", f"{V1}/tokens/{{token}}"),
}
ALL = sorted(PUBLIC | ANYONE | READ | CONTROL | MANAGE | MANAGE_ALL)
WITH_NETWORK = READ | CONTROL | MANAGE


@pytest.fixture(scope="module")
def guarded():
    broker = FakeBroker()
    found = Guarded(broker)
    yield found
    found.stop()
    broker.close()


@pytest.fixture(scope="module")
def tokens(guarded):
    """A token for each role in `aggr`, in another network, and in all."""
    found = {}
    for role in ("read", "control", "manage"):
        for network, word in (("aggr", "here"), ("slough", "elsewhere"), ("*", "everywhere")):
            found[f"{role} {word}"] = guarded.token(f"{role}-{word}", f"{role}@{network}")
    return found


def asked(guarded, method, template, credential):
    names = {"network": "aggr", "id": "1", "terminal": "a", "trunk": "t", "vpn": "v", "site": "s", "access": "x"}
    path = template.format(**names, user="nobody", token="0" * 12, key="0" * 16)
    query = {"await": "?status=DORMANT&timeout-millis=0", "await-status": "?acceptable=DORMANT&timeout-millis=0"}
    return guarded.ask(method, path + query.get(template.rpartition("/")[2], ""), credential)


def test_the_table_has_every_route_and_method(guarded):
    app = create_app(guarded.broker, guarded.access)
    found = {
        (method.method, route.path)
        for route in falcon.inspect.inspect_app(app).routes
        for method in route.methods
        # With a final slash, and without a network's name, RFC 8466 has the same resources again.
        if not (method.internal or method.method in {"HEAD", "OPTIONS"} or route.path.endswith("/"))
        if not route.path.startswith("/restconf/")
    }
    assert found == set(ALL)


def test_a_resource_must_say_what_its_methods_order():
    with pytest.raises(TypeError, match="Forgetful does not say what it orders by POST"):

        class Forgetful(Resource):
            async def on_post(self, request, response):
                pass


def refused(answer):
    assert (answer.status, answer.code) == (401, "unauthenticated"), answer.body
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "Bearer" in answer.headers["www-authenticate"]
    return True


@pytest.mark.parametrize(("method", "template"), ALL)
def test_without_a_credential_that_holds_nothing_answers(guarded, tokens, method, template):
    whole = tokens["manage everywhere"]
    wrong = whole[:-1] + ("A" if whole[-1] != "A" else "B")
    malformed = (
        "",
        "Bearer",
        "Basic",
        "Basic !!!",
        "Basic bm9jb2xvbg==",
        "Digest x=1",
        f"Bearer {whole} x",
        "Bearer ü",
    )
    for credential in (wrong, whole[:-1], f"{whole}A", "dpb_", basic("read-here", wrong), *malformed):
        assert refused(asked(guarded, method, template, credential)), credential
    answer = asked(guarded, method, template, None)
    if (method, template) in PUBLIC:
        assert (answer.status, answer.json) == (200, {"status": "ok", "version": "0"})
    else:
        refused(answer)
    for other in ("HEAD", "OPTIONS", "TRACE", "FOO"):
        answer = asked(guarded, other, template, None)
        assert answer.status in ((401, 400) if (method, template) not in PUBLIC else (200, 400, 405)), other


def test_routes_that_are_not_there_do_not_answer_strangers_either(guarded, tokens):
    for path in ("/", "/api", f"{V1}/healthy", f"{V1}/health/", "/network/aggr", "/restconf"):
        refused(guarded.ask("GET", path))
        assert guarded.ask("GET", path, tokens["read here"]).status == 404


@pytest.mark.parametrize(("method", "template"), ALL)
def test_each_role_may_do_its_own(guarded, tokens, method, template):
    route = (method, template)
    least = next(i for i, routes in enumerate((PUBLIC | ANYONE | READ, CONTROL, MANAGE, MANAGE_ALL)) if route in routes)
    for name, token in tokens.items():
        role, _, where = name.partition(" ")
        answer = asked(guarded, method, template, token)
        has = ("read", "control", "manage").index(role)
        if route in WITH_NETWORK and where == "elsewhere":
            assert (answer.status, answer.code) == (404, "no-network"), (name, answer.body)
        elif route in MANAGE_ALL and (where != "everywhere" or role != "manage"):
            assert (answer.status, answer.code) == (403, "role-missing"), (name, answer.body)
            assert (answer.json["role"], answer.json["network"]) == ("manage", "*")
        elif route not in MANAGE_ALL and has < least:
            assert (answer.status, answer.code) == (403, "role-missing"), (name, answer.body)
            assert (answer.json["role"], answer.json["network"]) == (("read", "control", "manage")[least], "aggr")
            assert answer.json["role"] in answer.json["detail"]
        else:
            assert answer.status not in (401, 403), (name, answer.body)
            assert answer.code != "no-network"


@pytest.mark.parametrize("template", sorted({template for _, template in WITH_NETWORK}))
def test_a_network_without_a_role_looks_as_one_that_is_not_there(guarded, tokens, template):
    def answers(network):
        path = template.replace("{network}", network)
        path = path.format(id="1", terminal="a", trunk="t", vpn="v", site="s", access="x")
        return [guarded.ask(method, path, tokens["manage elsewhere"]) for method, t in ALL if t == template]

    for one, other in zip(answers("aggr"), answers("nowhere"), strict=True):
        assert one.body.replace(b"aggr", b"nowhere") == other.body
        assert one.status == other.status == 404


@pytest.mark.parametrize("how", ["revoked", "expired", "without its user"])
@pytest.mark.parametrize(("method", "template"), sorted(set(ALL) - PUBLIC))
def test_a_token_that_held_once_is_a_strangers(guarded, monkeypatch, how, method, template):
    guarded.user("once", "manage@*")
    made, token = guarded.access.change(
        lambda registry: registry.create_token(
            "once", expires=registry_module.now().replace(year=registry_module.now().year + 1)
        )
    ).result(10)
    assert guarded.ask("GET", f"{V1}/networks", token).status == 200
    if how == "revoked":
        guarded.access.change(lambda registry: registry.revoke(made.id)).result(10)
    elif how == "without its user":
        guarded.access.change(lambda registry: registry.remove_user("once")).result(10)
    else:
        later = registry_module.now().replace(year=registry_module.now().year + 2)
        monkeypatch.setattr(guarded.access.login, "_clock", lambda: later)
    refused(asked(guarded, method, template, token))


def test_what_is_listed_is_what_may_be_seen(guarded, tokens):
    def seen(token):
        names = [network["name"] for network in guarded.ask("GET", f"{V1}/networks", token).json["networks"]]
        health = guarded.ask("GET", f"{V1}/health", token).json
        assert set(health) == {"status", "version", "store", "networks"}
        assert list(health["networks"]) == names
        return names

    assert seen(tokens["read here"]) == ["aggr"]
    assert seen(tokens["manage elsewhere"]) == ["slough"]
    assert seen(tokens["read everywhere"]) == ["aggr", "slough", "far"]


def test_a_role_is_never_more_than_the_users(guarded):
    token = guarded.token("narrow", "control@aggr", roles=["manage@*", "read@slough"])
    assert guarded.ask("POST", "/network/aggr/create-service", token).status == 200
    assert guarded.ask("POST", f"{V1}/networks/aggr/terminals", token).code == "role-missing"
    assert guarded.ask("GET", f"{V1}/networks/slough", token).code == "no-network"
    less = guarded.token("narrow", make=False, roles=["read@*"])
    assert guarded.ask("GET", f"{V1}/networks/aggr", less).status == 200
    assert guarded.ask("POST", "/network/aggr/create-service", less).code == "role-missing"
