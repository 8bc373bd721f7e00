"""Roles, and on which networks somebody has which. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

from attrs import field, frozen

from dpb_framework.errors import BadArgument
from dpb_framework.model import check_name

EVERYWHERE: Final = "*"
"""Stands for every network."""


class Role(IntEnum):
    """What somebody may do in a network; each includes those before it, and never one after it."""

    READ = 1
    """See the network and everybody's services."""
    CONTROL = 2
    """Make services, and change one's own."""
    MANAGE = 3
    """Change the topology, and everybody's services."""

    @property
    def word(self) -> str:
        """What it is called in files, on the wire and on the command line."""
        return self.name.lower()


WORDS: Final = {role.word: role for role in Role}


def _sorted(roles: Mapping[str, Role]) -> dict[str, Role]:
    return dict(sorted(roles.items()))


@frozen
class Grants:
    """A role for each network, and one for all (`EVERYWHERE`); the greater of the two holds."""

    roles: Mapping[str, Role] = field(factory=dict, converter=_sorted)

    @classmethod
    def parse(cls, texts: Iterable[str], path: str = "roles") -> Grants:
        """Return what texts such as `control@wan` and `read@*` grant. `BadArgument` with *path*."""
        found: dict[str, Role] = {}
        for i, text in enumerate(texts):
            where = f"{path}[{i}]"
            word, at, network = text.partition("@") if isinstance(text, str) else ("", "", "")
            if word not in WORDS or not at:
                raise BadArgument(
                    where, "expected ROLE@NETWORK, ROLE one of read, control and manage, NETWORK may be *"
                )
            if network != EVERYWHERE:
                check_name(network, where)
            if network in found:
                raise BadArgument(where, f"there is a role for network {network!r} already")
            found[network] = WORDS[word]
        return cls(found)

    def texts(self) -> list[str]:
        """As `parse` takes them."""
        return [f"{role.word}@{network}" for network, role in self.roles.items()]

    def role(self, network: str) -> Role | None:
        """The role in *network*, None for none."""
        return max((self.roles[n] for n in (network, EVERYWHERE) if n in self.roles), default=None)

    def may(self, network: str, role: Role) -> bool:
        """Whether they are enough for what needs *role* in *network* (or `EVERYWHERE`)."""
        found = self.roles.get(EVERYWHERE)
        if found is not None and found >= role:
            return True
        found = self.roles.get(network)
        return found is not None and found >= role

    def within(self, bound: Grants) -> Grants:
        """What is left of them when nothing may exceed *bound*."""
        found = {}
        for network in {*self.roles, *bound.roles}:
            ours, theirs = self.role(network), bound.role(network)
            if network == EVERYWHERE:
                ours, theirs = self.roles.get(network), bound.roles.get(network)
            if ours is not None and theirs is not None:
                found[network] = min(ours, theirs)
        return Grants(found)


ALL: Final = Grants({EVERYWHERE: Role.MANAGE})
"""What everybody may where access is not controlled."""
