"""What stands behind the question mark of a URL: nothing that the route does not know."""

from __future__ import annotations

from typing import Any, Final

from dpb_framework.errors import BadArgument
from dpb_framework.settings import nearest
from dpb_nbi.resource import Resource
from dpb_nbi.wire import Request, Response

STRICT: Final = "/api/v1/"
"""Where: what the first broker ignored is ignored on its routes, and RFC 8466 has rules of its own."""


class Queries:
    """Middleware of falcon: a filter that is written wrongly must not be taken for none."""

    async def process_resource(self, req: Request, resp: Response, resource: object, params: dict[str, Any]) -> None:
        """Refuse a parameter that the resource does not know for this method. `BadArgument`."""
        if not req.query_string or not isinstance(resource, Resource) or not req.path.startswith(STRICT):
            return
        if req.method not in resource.kinds:  # the method is what is wrong
            return
        known = resource.queries.get(req.method, ())
        for name in req.params:
            if name not in known:
                hint = nearest(name, known) or "; it takes none"
                raise BadArgument(name[:100], f"no such parameter of the query{hint}")
