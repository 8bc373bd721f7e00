"""Everything that somebody may order, by name, with the role that it needs: the words of the audit log."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from dpb_nbi.access.roles import EVERYWHERE, Role


@frozen
class Kind:
    """One kind of order: its name, and the role that it needs. `changes`: it is written down."""

    name: str
    role: Role
    changes: bool = True


@frozen
class Order:
    """An order: what is to be done to which service, terminal, trunk, user or token of which network."""

    kind: Kind
    network: str = EVERYWHERE
    service: int | None = None
    terminal: str | None = None
    trunk: str | None = None
    vpn: str | None = None
    user: str | None = None
    token: str | None = None
    key: str | None = None


AUTHENTICATE: Final = Kind("authenticate", Role.READ, changes=False)
READ: Final = Kind("read", Role.READ, changes=False)
PLAN: Final = Kind("plan", Role.READ, changes=False)
AWAIT: Final = Kind("await", Role.READ, changes=False)
BATCH: Final = Kind("batch", Role.READ, changes=False)
"""Many orders at once, each of which is checked for itself."""

CREATE: Final = Kind("create", Role.CONTROL)
DEFINE: Final = Kind("define", Role.CONTROL)
ACTIVATE: Final = Kind("activate", Role.CONTROL)
DEACTIVATE: Final = Kind("deactivate", Role.CONTROL)
RESET: Final = Kind("reset", Role.CONTROL)
RELEASE: Final = Kind("release", Role.CONTROL)
PREPARE: Final = Kind("prepare", Role.CONTROL)
COMMIT: Final = Kind("commit", Role.CONTROL)
ABORT: Final = Kind("abort", Role.CONTROL)

PUT_VPN: Final = Kind("put-vpn", Role.CONTROL)
REMOVE_VPN: Final = Kind("remove-vpn", Role.CONTROL)

PUT_TERMINAL: Final = Kind("put-terminal", Role.MANAGE)
REMOVE_TERMINAL: Final = Kind("remove-terminal", Role.MANAGE)
PUT_TRUNK: Final = Kind("put-trunk", Role.MANAGE)
REMOVE_TRUNK: Final = Kind("remove-trunk", Role.MANAGE)

LIST_ACCESS: Final = Kind("list-access", Role.MANAGE, changes=False)
SET_USER: Final = Kind("set-user", Role.MANAGE)
REMOVE_USER: Final = Kind("remove-user", Role.MANAGE)
ADD_KEY: Final = Kind("add-key", Role.MANAGE)
REMOVE_KEY: Final = Kind("remove-key", Role.MANAGE)
CREATE_TOKEN: Final = Kind("create-token", Role.MANAGE)
REVOKE_TOKEN: Final = Kind("revoke-token", Role.MANAGE)
