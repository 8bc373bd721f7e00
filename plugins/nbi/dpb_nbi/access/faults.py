"""What can be wrong with whoever asks, as facts. No secret is ever among them."""

from __future__ import annotations

from attrs import frozen

from dpb_framework.errors import DpbError


@frozen
class Unauthenticated(DpbError):
    """Who asks is not known: there is no credential, or none that holds. It is not told which."""

    code = "unauthenticated"
    problem: str = "a credential is needed"

    def __str__(self) -> str:
        return self.problem


@frozen
class RoleMissing(DpbError):
    """The caller may see the network, but not do this."""

    code = "role-missing"
    user: str
    network: str
    role: str

    def __str__(self) -> str:
        where = "on all networks" if self.network == "*" else f"on network {self.network!r}"
        return f"user {self.user!r} needs the role {self.role!r} {where} for this"


@frozen
class UserUnknown(DpbError):
    """There is no user of that name."""

    code = "user-unknown"
    user: str

    def __str__(self) -> str:
        return f"there is no user {self.user!r}; make it with dpb user set {self.user} --role ROLE@NETWORK"


@frozen
class TokenUnknown(DpbError):
    """There is no token of that id."""

    code = "token-unknown"
    token: str

    def __str__(self) -> str:
        # What was asked for is not repeated: it may be a token instead of its id.
        return "no token has that id; dpb token list tells the ids"


@frozen
class KeyUnknown(DpbError):
    """The user has no public key of that id."""

    code = "key-unknown"
    user: str
    key: str

    def __str__(self) -> str:
        return f"user {self.user!r} has no public key {self.key!r}; dpb user list --json tells the ids"


@frozen
class Busy(DpbError):
    """More is asked at once than is answered; later it will be."""

    code = "busy"
    problem: str

    def __str__(self) -> str:
        return f"{self.problem}; ask again in a moment"
