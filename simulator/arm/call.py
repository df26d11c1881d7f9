"""One request to Azure Resource Manager, read and taken apart."""

import json
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from simulator.arm.errors import ArmError
from simulator.arm.ids import Address
from simulator.ledger import LEDGER_ENTRY, PATH, LedgerEntry


@dataclass(frozen=True, eq=False)
class Call:
    """What the rules of a resource type need to know of a request.

    Attributes:
        method: HTTP method.
        path: Path without query, as sent.
        address: The path taken apart.
        query: Query parameters by their name in lower case.
        headers: Request headers by their name in lower case.
        body: The JSON object sent, empty where none was.
        entry: The ledger entry to be filled in; of no consequence for a GET.

    """

    method: str
    path: str
    address: Address
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]
    entry: LedgerEntry

    @classmethod
    async def read(cls, request: web.Request) -> "Call":
        """Read a request.

        Raises:
            ArmError: 400, it has no api-version, or its body is not a JSON object.

        """
        path: str = request[PATH]
        query = {name.lower(): value for name, value in request.query.items()}
        if not query.get("api-version"):
            raise ArmError(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        return cls(
            method=request.method,
            path=path,
            address=Address.parse(path),
            query=query,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=_json_object(await request.text()),
            entry=request.get(LEDGER_ENTRY) or LedgerEntry(0, "", request.method, path),
        )

    @property
    def api_version(self) -> str:
        """The api-version asked for; any is served."""
        return self.query["api-version"]

    def flag(self, name: str) -> bool:
        """Return whether a query parameter is `true`."""
        return self.query.get(name.lower(), "").lower() == "true"


def _json_object(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        body: Any = json.loads(text)
    except ValueError as error:
        raise ArmError(
            400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{error}'."
        ) from error
    if not isinstance(body, dict):
        raise ArmError(400, "InvalidRequestContent", "The request content was invalid: an object is expected.")
    return cast(dict[str, Any], body)
