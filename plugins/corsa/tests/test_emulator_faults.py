"""Faults of the emulator, each met by the calls that it is for, and by no other."""

import http.client
import time

import pytest
from dpb_corsa_emulator.testing import Emulator

LOST = (http.client.HTTPException, OSError)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    emulator = Emulator(tmp_path_factory.mktemp("switch"), "--ports", "4")
    yield emulator
    assert emulator.stop() == 0


@pytest.fixture
def emulator(running):
    running.no_faults()
    running.side("PUT", "token", {"expired": False})
    for name in running.call("GET", "bridges")[1]["links"]:
        running.call("DELETE", f"bridges/{name}")
    assert make(running, 1)[0] == 201
    running.forget_calls()
    return running


def make(emulator, number, descr="ours"):
    body = {"bridge": f"br{number}", "subtype": "openflow", "resources": 1, "bridge-descr": descr}
    return emulator.call("POST", "bridges", body)


def bridges(emulator):
    return {b["bridge"]: b["bridge-descr"] for b in emulator.call("GET", "bridges?list=true")[1]["list"]}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("kind", ["error", "html", "lost", "restart"])
def test_an_operation_is_done_or_not_as_asked_and_its_answer_is_not_the_one(emulator, kind, done):
    emulator.fault(kind, method="POST", done=done)
    if kind in ("error", "html"):
        status, answer = make(emulator, 2)
        assert (status, "<html>" in str(answer)) == ((500, False) if kind == "error" else (200, True))
    else:
        with pytest.raises(LOST):
            make(emulator, 2)
    assert bridges(emulator) == ({"br1": "ours", "br2": "ours"} if done else {"br1": "ours"})
    assert make(emulator, 3)[0] == 201


def test_the_status_of_an_error_can_be_chosen(emulator):
    emulator.fault("error", status=503, times=2)
    assert [emulator.call("GET", "")[0] for _ in range(3)] == [503, 503, 200]


def test_a_fault_is_met_by_the_calls_that_match_after_those_that_are_left_alone(emulator):
    emulator.fault("error", method="GET", path=r"bridges/br\d+", after=1, times=2)
    answers = [emulator.call("GET", "bridges/br1")[0] for _ in range(4)]
    assert answers == [200, 500, 500, 200]
    assert emulator.call("GET", "bridges/br1/tunnels")[0] == 200
    assert emulator.side("GET", "faults")["faults"][0]["met"] == 2


def test_a_fault_without_an_end_is_there_until_it_is_switched_off(emulator):
    emulator.fault("html", times=None)
    assert all("<html>" in emulator.call("GET", "bridges")[1] for _ in range(5))
    emulator.no_faults()
    assert emulator.call("GET", "bridges")[0] == 200


def test_every_call_of_a_procedure_can_be_met_in_turn(emulator):
    def procedure():
        yield "POST", "bridges", {"bridge": "br2", "subtype": "openflow", "resources": 1}
        yield "POST", "bridges/br2/tunnels", {"ofport": 1, "port": "1"}
        yield "DELETE", "bridges/br2", None

    for call in procedure():
        emulator.call(*call)
    made = [(call["method"], call["path"], call["status"]) for call in emulator.calls()]
    assert made == [("POST", "bridges", 201), ("POST", "bridges/br2/tunnels", 201), ("DELETE", "bridges/br2", 204)]
    for place in range(3):
        emulator.no_faults()
        emulator.forget_calls()
        emulator.fault("error", after=place)
        for call in procedure():
            emulator.call(*call)
        assert [call["fault"] for call in emulator.calls()][place] == "error"
        emulator.call("DELETE", "bridges/br2")


def test_somebody_else_is_faster_with_a_name(emulator):
    emulator.fault("race", times=3)
    assert make(emulator, 2)[0] == 409
    assert bridges(emulator) == {"br1": "ours", "br2": "somebody else's"}
    controller = {"controller": "c", "ip": "10.0.0.1", "port": 6653}
    assert emulator.call("POST", "bridges/br1/controllers", controller)[0] == 409
    assert emulator.call("GET", "bridges/br1/controllers/c")[1]["ip"] == "192.0.2.1"
    tunnel = {"ofport": 7, "port": "4", "vlan-id": 4094}
    assert emulator.call("POST", "bridges/br1/tunnels", tunnel)[0] == 409
    assert emulator.call("GET", "bridges/br1/tunnels/7")[1]["ifdescr"] == "somebody else's"
    emulator.fault("race")
    assert emulator.call("POST", "bridges/br1/tunnels", {"ofport": 8, "port": "1"})[0] == 409
    assert make(emulator, 3)[0] == 201


@pytest.mark.parametrize("path", ["bridges/br1/tunnels/1", "bridges/br1/controllers/c", "bridges/br1"])
def test_somebody_else_is_faster_to_delete(emulator, path):
    emulator.call("POST", "bridges/br1/controllers", {"controller": "c", "ip": "10.0.0.1", "port": 6653})
    emulator.call("POST", "bridges/br1/tunnels", {"ofport": 1, "port": "1"})
    emulator.fault("race")
    assert emulator.call("GET", path)[0] == 200
    assert emulator.call("DELETE", path)[0] == 404
    assert emulator.call("GET", path)[0] == 404


def test_latency_delays_the_calls_that_it_is_for(emulator):
    emulator.fault("latency", method="GET", seconds=0.3)
    began = time.monotonic()
    assert emulator.call("GET", "bridges/br1")[0] == 200
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("keep", [True, False])
def test_a_restart_takes_its_time_and_keeps_or_loses_everything(emulator, keep):
    emulator.side("POST", "restart", {"keep": keep, "seconds": 0.4})
    with pytest.raises(LOST):
        bridges(emulator)
    until = time.monotonic() + 20
    while True:
        try:
            found = bridges(emulator)
            break
        except LOST:
            assert time.monotonic() < until
            time.sleep(0.05)
    assert found == ({"br1": "ours"} if keep else {})


def test_a_token_expires(emulator):
    emulator.side("PUT", "token", {"expired": True})
    assert emulator.call("GET", "") == (401, {"message": "the token has expired"})


def test_a_port_loses_its_cable(emulator):
    emulator.call("POST", "bridges/br1/tunnels", {"ofport": 1, "port": "1"})
    emulator.call("POST", "bridges/br1/tunnels", {"ofport": 2, "port": "2"})

    def states():
        return [t["oper-state"] for t in emulator.call("GET", "bridges/br1/tunnels?list=true")[1]["list"]]

    emulator.side("PUT", "ports/2", {"up": False})
    assert states() == ["up", "down"]
    emulator.side("PUT", "ports/2", {"up": True})
    assert states() == ["up", "up"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "x"}, {"method": "PUT"}, {"path": "("}, {"path": 1}, {"times": 0}, {"after": -1}, {"status": 99},
        {"seconds": -1}, {"done": 1}, {"keep": None}, {"colour": 1},
    ],
)  # fmt: skip
def test_a_wrong_fault_is_told(emulator, wrong):
    with pytest.raises(RuntimeError, match=f"400 .*{next(iter(wrong))}"):
        emulator.side("POST", "faults", {"kind": "error"} | wrong)
    assert emulator.side("GET", "faults") == {"faults": []}


def test_faults_from_the_command_line(tmp_path):
    emulator = Emulator(tmp_path, "--fault", '{"kind": "error", "status": 502}', "--fault", '{"kind": "html"}')
    try:
        assert [emulator.call("GET", "")[0] for _ in range(3)] == [502, 200, 200]
        assert [call["fault"] for call in emulator.calls()] == ["error", "html", None]
    finally:
        emulator.stop()
