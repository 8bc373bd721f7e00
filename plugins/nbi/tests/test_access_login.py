"""Passwords and tokens: what is kept of them, how they are compared, what a flood of wrong ones costs."""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from dpb_nbi.access import credentials, login
from dpb_nbi.access import registry as registry_module
from dpb_nbi.access.faults import TokenUnknown, Unauthenticated, UserUnknown
from dpb_nbi.access.login import Login
from dpb_nbi.access.registry import TOKENS, USERS, Registry, now
from dpb_nbi.access.roles import Grants, Role

from dpb_framework.contracts import Batch, Item
from dpb_framework.errors import BadArgument, CommitFailed
from dpb_framework.memory import MemoryStore
from dpb_framework.reply import Reply

from .access_helpers import Guarded, basic
from .fake_network import FakeBroker
from .rest_helpers import eventually

NETWORKS = "/api/v1/networks"
SECRET = "correct horse"


@pytest.fixture
def guarded():
    broker = FakeBroker()
    found = Guarded(broker)
    found.user("ann", "read@*", password=SECRET)
    yield found
    found.stop()
    broker.close()


@pytest.fixture
def derived(monkeypatch):
    """The passwords that are derived; `held` keeps each from ending."""
    calls, held = [], threading.Event()
    held.set()
    true = credentials._derive

    def derive(text, *more):
        calls.append(text)
        held.wait(20)
        return true(text, *more)

    monkeypatch.setattr(credentials, "_derive", derive)
    derive.calls, derive.held = calls, held
    yield derive
    held.set()


def test_a_password_lets_in_and_a_wrong_one_does_not(guarded):
    assert guarded.ask("GET", NETWORKS, basic("ann", SECRET)).status == 200
    guarded.user("bob", "read@*")
    for name, password in (
        ("ann", "wrong horse"),
        ("bob", SECRET),
        ("bob", ""),
        ("eve", SECRET),
        ("", ""),
        ("ann", "x" * 9999),
    ):
        assert guarded.ask("GET", NETWORKS, basic(name, password)).code == "unauthenticated", name
    answers = {
        guarded.ask("GET", NETWORKS, basic(*pair)).body for pair in (("ann", "wrong"), ("eve", SECRET), ("bob", SECRET))
    }
    assert len(answers) == 1, "it is not told what was wrong"


def test_a_token_is_taken_for_its_users_password_only(guarded):
    token = guarded.token("ann", make=False)
    assert guarded.ask("GET", NETWORKS, basic("ann", token)).status == 200
    assert guarded.ask("GET", NETWORKS, basic("bob", token)).code == "unauthenticated"


def test_an_unknown_user_costs_as_much_as_a_known_one(guarded, derived):
    for name in ("ann", "eve"):
        assert guarded.ask("GET", NETWORKS, basic(name, "wrong horse")).status == 401
    assert len(derived.calls) == 2


def test_a_right_password_is_derived_once_and_a_new_one_holds_at_once(guarded, derived):
    for _ in range(5):
        assert guarded.ask("GET", NETWORKS, basic("ann", SECRET)).status == 200
    assert derived.calls == [SECRET]
    guarded.user("ann", "read@*", password="another horse")
    assert guarded.ask("GET", NETWORKS, basic("ann", SECRET)).status == 401
    assert guarded.ask("GET", NETWORKS, basic("ann", "another horse")).status == 200


def test_a_right_password_is_forgotten_after_a_while(guarded, derived, monkeypatch):
    monkeypatch.setattr(login, "REMEMBERED", -1.0)
    for _ in range(2):
        assert guarded.ask("GET", NETWORKS, basic("ann", SECRET)).status == 200
    assert derived.calls == [SECRET] * 2


def test_what_is_remembered_is_no_password_and_bounded(guarded, monkeypatch):
    assert guarded.ask("GET", NETWORKS, basic("ann", SECRET)).status == 200
    (mark,) = guarded.access.login._remembered
    assert len(mark) == 32
    assert Login(guarded.registry)._key != guarded.access.login._key
    monkeypatch.setattr(login, "MAX_REMEMBERED", 2)
    for name in ("u1", "u2", "u3"):
        guarded.user(name, "read@*", password=SECRET)
        assert guarded.ask("GET", NETWORKS, basic(name, SECRET)).status == 200
    assert len(guarded.access.login._remembered) <= 2


def test_passwords_are_checked_beside_everybody_else_and_the_same_one_once(guarded, derived):
    token = guarded.token("bob", "read@*")
    derived.held.clear()
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(guarded.ask, "GET", NETWORKS, basic("ann", SECRET)) for _ in range(20)]
        eventually(lambda: derived.calls)
        assert guarded.ask("GET", NETWORKS, token).status == 200, "the loop is free"
        derived.held.set()
        assert [future.result().status for future in waiting] == [200] * 20
    assert len(derived.calls) < 20


def test_a_flood_of_passwords_is_told_to_wait(guarded, derived):
    token = guarded.token("bob", "read@*")
    derived.held.clear()
    with ThreadPoolExecutor(30) as pool:
        flood = [pool.submit(guarded.ask, "GET", NETWORKS, basic("ann", f"wrong {i}")) for i in range(30)]
        eventually(lambda: sum(future.done() for future in flood) >= 30 - login.MAX_PENDING_EACH)
        busy = [future.result() for future in flood if future.done()]
        assert {(answer.status, answer.code) for answer in busy} == {(503, "busy")}
        assert busy[0].headers["retry-after"]
        assert guarded.ask("GET", NETWORKS, token).status == 200
        derived.held.set()
        assert sum(future.result().status == 401 for future in flood) == login.MAX_PENDING_EACH
    assert guarded.ask("GET", NETWORKS, basic("ann", SECRET)).status == 200
    eventually(lambda: not guarded.access.login._pending and not guarded.access.login._waiting)


def test_digests_are_compared_in_constant_time(guarded, monkeypatch):
    compared = []
    true = hmac.compare_digest
    monkeypatch.setattr(credentials.hmac, "compare_digest", lambda a, b: compared.append(len(b)) or true(a, b))
    token = guarded.token("bob", "read@*")
    guarded.ask("GET", NETWORKS, token[:-1] + "-")
    assert compared == [64]
    guarded.ask("GET", NETWORKS, basic("ann", "wrong horse"))
    assert compared == [64, 32]


def test_only_digests_are_in_the_store(guarded):
    token = guarded.token("bob", "read@*")
    kept = [item for name in (USERS, TOKENS) for item in guarded.broker.store.items(name).values()]
    text = json.dumps([(item.name, item.value) for item in kept])
    assert token not in text
    assert token.split("_", 2)[-1] not in text
    assert SECRET not in text
    assert credentials.digest(token) in text
    (ann,) = (item for item in kept if item.name == "ann")
    assert (ann.value["password"]["kdf"], ann.value["password"]["n"]) == ("scrypt", 1 << 14)


def test_what_two_interfaces_of_a_broker_know_is_the_same(guarded):
    second = Guarded(guarded.broker)
    token = second.token("bob", "read@*")
    assert guarded.ask("GET", NETWORKS, token).status == 200
    second.access.change(lambda registry: registry.remove_user("bob")).result(10)
    assert guarded.ask("GET", NETWORKS, token).status == 401
    second.stop()
    assert guarded.ask("GET", NETWORKS, basic("ann", SECRET)).status == 200, "the other one goes on"


# -- the registry -------------------------------------------------------------------------------


@pytest.fixture
def store():
    found = MemoryStore()
    found.open()
    return found


def test_it_is_all_there_again_after_a_restart(store):
    first = Registry(store)
    first.set_user("ann", ["control@wan", "read@*"], SECRET)
    token, text = first.create_token("ann", "for OSM", ["read@wan"], now().replace(year=2999))
    again = Registry(store)
    assert again.users == first.users
    assert again.tokens == {token.id: token}
    found = Login(again).by_token(text)
    assert (found.name, found.credential, found.roles) == ("ann", f"token {token.id}", Grants({"wan": Role.READ}))
    assert asyncio.run(Login(again).by_password("ann", SECRET, "")).name == "ann"


def test_what_is_not_kept_is_not_there(store, monkeypatch):
    registry = Registry(store)
    registry.set_user("ann", ["read@*"])
    monkeypatch.setattr(store, "submit", lambda batch: Reply.failed(CommitFailed("the disk is full")))
    for change in (
        lambda: registry.set_user("ann", ["manage@*"]),
        lambda: registry.set_user("bob", ["read@*"]),
        lambda: registry.create_token("ann"),
        lambda: registry.remove_user("ann"),
    ):
        with pytest.raises(CommitFailed):
            change()
    assert {name: user.roles.texts() for name, user in registry.users.items()} == {"ann": ["read@*"]}
    assert not registry.tokens


def test_a_user_takes_all_tokens_along_in_one_batch(store):
    registry = Registry(store)
    for name in ("ann", "bob"):
        registry.set_user(name, ["read@*"])
        registry.create_token(name)
    registry.remove_user("ann")
    assert [token.user for token in registry.tokens.values()] == ["bob"]
    assert len(store.items(TOKENS)) == len(store.items(USERS)) == 1
    with pytest.raises(UserUnknown):
        registry.remove_user("ann")
    with pytest.raises(UserUnknown):
        registry.create_token("ann")
    with pytest.raises(TokenUnknown):
        registry.revoke("0" * 12)


def test_tokens_that_have_expired_are_forgotten_with_the_next_one(store, monkeypatch):
    registry, begin = Registry(store), registry_module.now()
    registry.set_user("ann", ["read@*"])
    for hours in (1, 2, 3, None):
        registry.create_token("ann", f"{hours} h", expires=hours and begin + timedelta(hours=hours))
    monkeypatch.setattr(registry_module, "now", lambda: begin + timedelta(hours=2))
    registry.create_token("ann", "new")
    assert [token.name for token in registry.tokens.values()] == ["3 h", "None h", "new"]
    assert store.items(TOKENS).keys() == registry.tokens.keys()


def test_an_item_that_cannot_be_read_lets_nobody_in(store, caplog):
    good = {"roles": ["manage@*"], "password": None}
    bad = [{}, [], None, {**good, "roles": ["root@*"]}, {**good, "password": {"kdf": "plain", "key": SECRET}}]
    items = [Item(USERS, f"u{i}", value) for i, value in enumerate([*bad, good])]
    store.submit(Batch(puts=[*items, Item(TOKENS, "0" * 12, {"user": "u5"})])).result()
    registry = Registry(store)
    assert list(registry.users) == ["u5"]
    assert not registry.tokens
    assert caplog.text.count("cannot be understood") == 6
    assert SECRET not in caplog.text


@pytest.mark.parametrize("name", ["anonymous", "dpb", "", "a b", "a:b", "a/b", "x" * 129, "a\n"])
def test_who_may_not_be_a_user(store, name):
    with pytest.raises(BadArgument):
        Registry(store).set_user(name, ["read@*"])


@pytest.mark.parametrize("text", ["", "read", "@wan", "root@wan", "READ@wan", "read@a b", "read@", "read@wan@par/x", 7])
def test_what_is_no_role(text):
    with pytest.raises(BadArgument) as caught:
        Grants.parse(["read@lon", text])
    assert caught.value.path == "roles[1]"


def test_roles():
    grants = Grants.parse(["control@wan", "read@*"])
    assert grants.texts() == ["read@*", "control@wan"]
    assert [grants.role(n) for n in ("wan", "lon")] == [Role.CONTROL, Role.READ]
    assert grants.may("*", Role.READ)
    assert not grants.may("*", Role.CONTROL)
    assert not Grants.parse(["manage@wan"]).may("*", Role.READ)
    assert Grants.parse(["manage@*"]).within(grants) == grants
    assert grants.within(Grants.parse(["manage@wan", "manage@lon"])).texts() == ["read@lon", "control@wan"]
    with pytest.raises(BadArgument):
        Grants.parse(["read@wan", "manage@wan"])


@pytest.mark.parametrize("password", ["short", "x" * 257, "with\nline", "\x00" * 9])
def test_what_is_no_password(store, password):
    with pytest.raises(BadArgument) as caught:
        Registry(store).set_user("ann", ["read@*"], password)
    assert password not in str(caught.value)


def test_a_certificate_names_a_user(store):
    registry = Registry(store)
    registry.set_user("ann", ["read@wan"])
    found = Login(registry).by_certificate("ann")
    assert (found.name, found.credential) == ("ann", "certificate")
    with pytest.raises(Unauthenticated):
        Login(registry).by_certificate("bob")


def test_an_identity_knows_whether_its_credential_still_holds(store):
    registry = Registry(store)
    registry.set_user("ann", ["read@wan"], SECRET)
    token, text = registry.create_token("ann")
    logins = Login(registry)

    def all_three():
        return (
            logins.by_token(text),
            logins.by_certificate("ann"),
            asyncio.run(logins.by_password("ann", SECRET, "")),
        )

    found = all_three()
    assert [identity.alive() for identity in found] == [True] * 3
    registry.set_user("ann", password="another horse")
    assert [identity.alive() for identity in found] == [True, True, False]
    registry.revoke(token.id)
    assert [identity.alive() for identity in found] == [False, True, False]
    registry.remove_user("ann")
    assert [identity.alive() for identity in found] == [False] * 3
