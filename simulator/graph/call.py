"""One request to Microsoft Graph, read and taken apart."""

import json
import re
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from simulator.graph.errors import bad_request
from simulator.ledger import LEDGER_ENTRY, PATH, LedgerEntry

OPTIONS = frozenset({"$count", "$filter", "$orderby", "$select", "$skiptoken", "$top"})
"""The query options that are served."""

_KEYED = re.compile(r"(?P<name>[^()]+)\((?P<key>.*)\)")


@dataclass(frozen=True, eq=False)
class Call:
    """What the collections need to know of a request.

    Attributes:
        id: The request's id.
        method: HTTP method.
        version: `v1.0` or `beta`.
        segments: The path behind the version. A key in parentheses is a segment of its own, without quotes
            (`devices('1')` is `devices`, `1`), an alternate key as `deviceId='1'`; `microsoft.graph.user` is
            `graph.user`, and `delta()` is `delta`.
        url: Address without query.
        query: Query options by their name with `$`.
        is_eventual: Whether the header `ConsistencyLevel: eventual` came with it.
        content: The body as text.
        entry: The ledger entry to be filled in; of no consequence for a GET.

    """

    id: str
    method: str
    version: str
    segments: list[str]
    url: str
    query: dict[str, str]
    is_eventual: bool
    content: str
    entry: LedgerEntry

    @classmethod
    async def read(cls, request: web.Request, id: str) -> "Call":
        """Read a request; `id` is the id to give it.

        Raises:
            GraphError: 400, a query option is not known.

        """
        path: str = request[PATH]
        _, version, *segments = path.rstrip("/").split("/")
        return cls(
            id=id,
            method=request.method,
            version=version.lower(),
            segments=[part for segment in segments for part in _parts(segment)],
            url=f"https://{request.host}{path}",
            query=dict(_option(name, value) for name, value in request.query.items()),
            is_eventual=request.headers.get("ConsistencyLevel", "").lower() == "eventual",
            content=await request.text(),
            entry=request.get(LEDGER_ENTRY) or LedgerEntry(0, "", request.method, path),
        )

    @property
    def is_advanced(self) -> bool:
        """Whether it may query what only advanced queries can.

        Source: https://learn.microsoft.com/graph/aad-advanced-queries
        """
        return self.is_eventual and self.wants_count

    @property
    def wants_count(self) -> bool:
        """Whether it asks for `@odata.count`."""
        return self.query.get("$count", "").lower() == "true"

    @property
    def select(self) -> list[str]:
        """The properties selected, in their order."""
        return [name.strip() for name in self.query.get("$select", "").split(",") if name.strip()]

    def context(self, target: str) -> str:
        """Return the `@odata.context` of an answer."""
        origin = "/".join(self.url.split("/", 3)[:3])
        return f"{origin}/{self.version}/$metadata#{target}"

    def json(self) -> dict[str, Any]:
        """Return the body.

        Raises:
            GraphError: 400, it is no JSON object.

        """
        try:
            body: Any = json.loads(self.content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise bad_request(
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of "
                "valid JSON format."
            )
        return cast(dict[str, Any], body)

    def referenced_id(self) -> str:
        """Return the id of the object that the body's `@odata.id` names.

        Raises:
            GraphError: 400, there is none.

        """
        reference = self.json().get("@odata.id")
        if not isinstance(reference, str):
            raise bad_request("Invalid URL format specified in @odata.id")
        return _parts(reference.rstrip("/").rsplit("/", 1)[-1])[-1]


def _parts(segment: str) -> list[str]:
    keyed = _KEYED.fullmatch(segment)
    if not keyed:
        return [segment.removeprefix("microsoft.") if segment.startswith("microsoft.graph.") else segment]
    name, key = keyed["name"], keyed["key"]
    if key.startswith("'") and key.endswith("'"):
        key = key[1:-1].replace("''", "'")
    return [name, key] if key else [name]


def _option(name: str, value: str) -> tuple[str, str]:
    # Graph takes its own query options without the dollar sign too.
    option = f"${name.removeprefix('$').lower()}"
    if name.startswith("$") and option not in OPTIONS:
        raise bad_request(f"The query parameter '{name}' is not supported.")
    return option, value
