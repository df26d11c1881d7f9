"""Holds exchanges to the published descriptions."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator

from simulator.server import Exchange
from tests.contracts.descriptions import Descriptions, Operation

UNDESCRIBED = {
    r"GET /common/discovery/instance": "OpenID Connect, which Entra ID's sign-in speaks, is no API of ARM or Graph",
    r"GET /[^/]+/v2\.0/\.well-known/openid-configuration": "the same",
    r"POST /[^/]+/oauth2/v2\.0/token": "the same (RFC 6749, section 4.4)",
}
"""Requests that no description here covers, and why."""


@dataclass(frozen=True)
class Violation:
    """Something that a description does not allow."""

    operation: str
    side: str
    """`request`, or `answer` with its status."""
    place: str
    """JSON path in the body, or which parameter."""
    message: str

    def __str__(self) -> str:
        return f"{self.operation}, {self.side}, {self.place}: {self.message}"


class Contract:
    """Checks exchanges in their order: addresses that answers have handed out are remembered."""

    def __init__(self, descriptions: Descriptions) -> None:
        self._descriptions = descriptions
        self._operations: dict[str, Operation] = {}
        """The operation that each handed out address belongs to, by path and query."""

    def violations(self, exchanges: Iterable[Exchange]) -> list[Violation]:
        """Return all violations, each once, the most frequent first."""
        counted = Counter(violation for exchange in exchanges for violation in self._check(exchange))
        return [violation for violation, _ in counted.most_common()]

    def _check(self, exchange: Exchange) -> Iterator[Violation]:
        address = _address(exchange.path, exchange.query.items())
        handed_out = self._operations.get(address)
        if handed_out and exchange.method == "GET":
            yield from self._check_handed_out(handed_out, exchange)
            return
        request = f"{exchange.method} {exchange.path}"
        if any(re.fullmatch(pattern, request) for pattern in UNDESCRIBED):
            return
        found = self._descriptions.find(exchange.method, exchange.path)
        if found is None:
            yield Violation(request, "request", "path", "is in no description")
            return
        operation, path_parameters = found
        yield from self._check_request(operation, path_parameters, exchange)
        yield from self._check_answer(operation, exchange)
        self._remember(operation, exchange)
