"""Who asks, once that is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import field, frozen

from dpb_framework.model import ANYBODY, Caller
from dpb_nbi.access.roles import ALL, Grants, Role

if TYPE_CHECKING:
    from dpb_nbi.access.audit import Audit


def _always() -> bool:
    return True


@frozen
class Identity:
    """Who asks: the name, what it may do, by which credential and from where.

    `credential` is `token ID`, `password`, `certificate` or the like, never a secret; empty for nobody's. `alive` tells
    whether the credential still holds, for what lasts, such as a stream. Whoever came in by another interface than the
    one that is asked has its name in `via`, and its audit log for where the one that is asked has none.
    """

    name: str
    roles: Grants
    credential: str = ""
    source: str = ""
    alive: Callable[[], bool] = _always
    via: str = ""
    audit: Audit | None = field(default=None, eq=False, repr=False)

    def may(self, network: str, role: Role) -> bool:
        """Whether it has *role* in *network*."""
        return self.roles.may(network, role)

    def caller(self, network: str) -> Caller:
        """As the kernel knows it in *network*."""
        return Caller(self.name, manager=self.may(network, Role.MANAGE))

    def at(self, source: str) -> Identity:
        """The same, asking from *source*."""
        return Identity(self.name, self.roles, self.credential, source, self.alive, self.via, self.audit)


NOBODY = Identity("", Grants())
"""Who has shown no credential, where one is needed."""

EVERYBODY = Identity(ANYBODY.name, ALL)
"""Whoever it is, where access is not controlled."""
