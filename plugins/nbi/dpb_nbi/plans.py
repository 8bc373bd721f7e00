"""What-if: `.../plans`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from attrs import evolve, frozen

from dpb_framework.errors import BadArgument, DpbError, SegmentInvalid
from dpb_framework.model import Proposal, Scenario, Segment, mbps
from dpb_nbi import codec, topology_codec
from dpb_nbi.access.orders import PLAN, Kind
from dpb_nbi.problems import Problem, in_trunk
from dpb_nbi.render import fault
from dpb_nbi.resource import Resource
from dpb_nbi.topology import managed_trunks
from dpb_nbi.values import array, table, text
from dpb_nbi.wire import Request, Response, answer

_NAMED: Final = ("failed", "drained")


@frozen
class Question:
    """What a body asks: segments, one after the other, in a scenario."""

    segments: tuple[Segment, ...]
    scenario: Scenario


def question(value: Any) -> Question:
    """Return what `{"segments"?, "failed"?, "drained"?, "added"?}` asks; one segment may be `segment` instead."""
    body = table(value, "", ("segment", "constraints", "segments", *_NAMED, "added"))
    if body.get("segments") is not None:
        if body.get("segment") is not None or body.get("constraints") is not None:
            raise BadArgument("segments", "give either one segment or a list of them")
        listed = array(body["segments"], "segments")
        if len(listed) > codec.MAX_SEGMENTS:
            raise BadArgument("segments", f"at most {codec.MAX_SEGMENTS} at once, {len(listed)} given")
        segments = [_one(item, f"segments[{i}]") for i, item in enumerate(listed)]
    elif body.get("segment") is not None:
        segments = [codec.definition({key: body.get(key) for key in ("segment", "constraints")}, codec.V1)]
    else:
        segments = []
    named = {
        name: [text(item, f"{name}[{i}]") for i, item in enumerate(array(body[name], name))]
        for name in _NAMED
        if body.get(name) is not None
    }
    added = [] if body.get("added") is None else topology_codec.trunks(body["added"], "added")
    return Question(tuple(segments), Scenario(**named, added=added))


def _one(value: Any, path: str) -> Segment:
    try:
        return codec.definition(value, codec.V1)
    except (BadArgument, SegmentInvalid) as error:
        raise evolve(error, path=f"{path}.{error.path}") from None


def plan(proposal: Proposal) -> dict[str, Any]:
    """PLAN: whether it fits, the tree with what would be left, or why not."""
    return {
        "fits": proposal.fault is None,
        "service": proposal.service,
        "tree": [
            {
                "trunk": share.trunk,
                "upstream": mbps(share.upstream),
                "downstream": mbps(share.downstream),
                "upstream-left": mbps(share.upstream_left),
                "downstream-left": mbps(share.downstream_left),
                "labels-left": share.labels_left,
            }
            for share in proposal.shares
        ],
        "chords": list(proposal.chords),
        "networks": list(proposal.networks),
        "cost": proposal.cost,
        "note": proposal.note,
        "error": fault(proposal.fault),
    }


class Plans(Resource):
    """`.../plans`."""

    kinds: ClassVar[Mapping[str, Kind]] = {"POST": PLAN}

    async def on_post(self, request: Request, response: Response, network: str) -> None:
        """Tell what would become of segments, in a scenario; nothing is reserved."""
        managed = managed_trunks(self.network(request, network))
        asked = question(await request.json())
        try:
            found = await self.calls.question(lambda: managed.plan(asked.segments, asked.scenario), request)
        except DpbError as error:
            raise _in_scenario(error, asked.scenario) from error
        if found is not None:
            answer(response, {"plans": [plan(proposal) for proposal in found]})


def _in_scenario(error: DpbError, scenario: Scenario) -> Exception:
    """Describe what is wrong with a scenario, by its field."""
    name = error.facts.get("trunk")
    for field in _NAMED:
        names = getattr(scenario, field)
        if error.code == "trunk-unknown" and name in names:
            return Problem.of(error, status=422, field=f"{field}[{names.index(name)}]")
    for i, trunk in enumerate(scenario.added):
        problem = in_trunk(error, trunk)
        if error.code != "trunk-unknown" and (problem.field is not None or name == trunk.name):
            problem.field = f"added[{i}].{problem.field}" if problem.field else f"added[{i}]"
            return problem
    return error
