"""Who may ask what, for all northbound interfaces alike: users, tokens, roles, logins, the audit log."""

from dpb_nbi.access.access import Access
from dpb_nbi.access.audit import Audit
from dpb_nbi.access.desk import Desk
from dpb_nbi.access.identity import EVERYBODY, NOBODY, Identity
from dpb_nbi.access.roles import EVERYWHERE, Grants, Role

__all__ = ["EVERYBODY", "EVERYWHERE", "NOBODY", "Access", "Audit", "Desk", "Grants", "Identity", "Role"]
