"""Holds what clients send and the simulated cloud answers to the published descriptions."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from simulator.server import Exchange
from tests.contracts.descriptions import Descriptions, Operation

UNDESCRIBED = {
    r"GET /common/discovery/instance": "how sign-in libraries find Entra ID; neither ARM nor Graph",
    r"GET /[^/]+/v2\.0/\.well-known/openid-configuration": "OpenID Connect Discovery 1.0, section 4",
    r"POST /[^/]+/oauth2/v2\.0/token": "OAuth 2.0, RFC 6749, section 4.4",
}
"""Requests that are in no description, as regular expressions, and what describes them instead."""

TOLERATED = {
    r"\$\.error\.innerError\.date: .* is not a 'date-time'": (
        "Graph writes the time of an error without its zone: graph/examples/error-intune-badrequest-nested.json"
    ),
}
"""What the real services do though their descriptions do not allow it: place and message as regular expressions."""


@dataclass(frozen=True, order=True)
class Violation:
    """Something that a description does not allow.

    Attributes:
        operation: The operation's id in the description.
        side: `request`, or `answer` with its status.
        place: JSON path in the body, or what else it is about.
        message: What is wrong.

    """

    operation: str
    side: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.operation}, {self.side}, {self.place}: {self.message}"


class Contract:
    """Checks exchanges in their order, for answers hand out addresses that later requests go to.

    Attributes:
        operations: The ids of the operations that were seen.

    """

    def __init__(self, descriptions: Descriptions) -> None:
        self.operations: set[str] = set()
        self._descriptions = descriptions
        self._statuses: set[str] = set()
        """Where the statuses of long-running operations are."""
        self._results: dict[str, Operation] = {}
        """Where the results of long-running operations are."""
        self._pages: set[str] = set()
        """Where lists go on."""

    def violations(self, exchanges: Iterable[Exchange]) -> list[Violation]:
        """Return everything that is not allowed, each once."""
        return sorted({violation for exchange in exchanges for violation in self._check(exchange)})

    def _check(self, exchange: Exchange) -> Iterator[Violation]:
        request = f"{exchange.method} {exchange.path}"
        if any(re.fullmatch(pattern, request) for pattern in UNDESCRIBED):
            return
        address = _address(exchange.path, exchange.query.items())
        if address in self._statuses:
            yield from self._check_status(exchange)
        elif address in self._results:
            yield from self._check_answer(self._results[address], exchange, is_first=False)
        elif found := self._descriptions.find(exchange.method, exchange.path):
            operation, path_parameters = found
            self.operations.add(operation.name)
            if address not in self._pages:
                yield from _check_parameters(operation, path_parameters, exchange)
            yield from _check_request_body(operation, exchange)
            yield from self._check_answer(operation, exchange, is_first=True)
        else:
            yield Violation(request, "request", "path", "is not described")

    def _check_status(self, exchange: Exchange) -> Iterator[Violation]:
        validator = self._descriptions.operation_status if exchange.status == 200 else self._descriptions.error
        side = f"answer {exchange.status}"
        yield from check_body("status of a long-running operation", side, validator, exchange.response_body)

    def _check_answer(self, operation: Operation, exchange: Exchange, *, is_first: bool) -> Iterator[Violation]:
        self._remember(operation, exchange)
        status, side = exchange.status, f"answer {exchange.status}"
        if is_first and status < 400 and not operation.accepts(status):
            yield Violation(operation.name, side, "status", "is not accepted by the SDK, or not described")
            return
        content_type = exchange.response_headers.get("Content-Type", "")
        if exchange.response_body and not content_type.startswith(operation.content_type(status)):
            yield Violation(operation.name, side, "Content-Type", f"is {content_type}")
            return
        validator = operation.answer(status)
        if validator is None and status >= 400:
            validator = self._descriptions.error
        yield from check_body(operation.name, side, validator, exchange.response_body)

    def _remember(self, operation: Operation, exchange: Exchange) -> None:
        if url := exchange.response_headers.get("Azure-AsyncOperation"):
            self._statuses.add(_address_of(url))
        # Graph's tells where the created object is.
        if operation.api_version and (url := exchange.response_headers.get("Location")):
            self._results[_address_of(url)] = operation
        for url in re.findall(
            rb'"(?:nextLink|@odata\.nextLink|@odata\.deltaLink)": ?"([^"]+)"', exchange.response_body
        ):
            self._pages.add(_address_of(url.decode()))


def check_body(operation: str, side: str, validator: Draft202012Validator | None, body: bytes) -> Iterator[Violation]:
    """Return what is wrong with a body; without a validator there must be none."""
    if validator is None:
        if body:
            yield Violation(operation, side, "body", "is not described")
        return
    try:
        value: Any = json.loads(body)
    except ValueError:
        yield Violation(operation, side, "body", "is not JSON" if body else "is missing")
        return
    for error in validator.iter_errors(value):
        # Which element of a list it is makes no difference.
        place, message = re.sub(r"\[\d+\]", "[]", error.json_path), _message(error)
        if not any(re.fullmatch(pattern, f"{place}: {message}") for pattern in TOLERATED):
            yield Violation(operation, side, place, message)


def _check_parameters(
    operation: Operation, path_parameters: Mapping[str, str], exchange: Exchange
) -> Iterator[Violation]:
    sent = {"path": path_parameters, "query": exchange.query, "header": exchange.request_headers}
    for parameter in operation.parameters:
        place, values = f"{parameter.place} parameter {parameter.name}", sent[parameter.place]
        if parameter.name in values:
            value = parameter.value(values[parameter.name])
            for error in operation.parameter_validator(parameter).iter_errors(value):
                yield Violation(operation.name, "request", place, _message(error))
        elif parameter.is_required:
            yield Violation(operation.name, "request", place, "is missing")
    for name in exchange.query.keys() - {parameter.name for parameter in operation.parameters}:
        yield Violation(operation.name, "request", f"query parameter {name}", "is not described")
    version = exchange.query.get("api-version")
    if version != operation.api_version:
        yield Violation(operation.name, "request", "api-version", f"is {version} and not {operation.api_version}")


def _check_request_body(operation: Operation, exchange: Exchange) -> Iterator[Violation]:
    if not exchange.request_body and not operation.requires_body:
        return
    content_type = exchange.request_headers.get("Content-Type", "")
    if not content_type.startswith("application/json"):
        yield Violation(operation.name, "request", "Content-Type", f"is {content_type or 'missing'}")
    yield from check_body(operation.name, "request", operation.request, exchange.request_body)


def _message(error: ValidationError) -> str:
    schema: Any = error.schema
    instance: Any = error.instance
    if error.validator == "not":
        return schema["$comment"]
    if error.validator == "additionalProperties" and schema["additionalProperties"] is False:
        pattern = next(iter(schema.get("patternProperties", {"(?!)": {}})))
        unknown = [name for name in instance if name not in schema["properties"] and not re.search(pattern, name)]
        return f"{', '.join(unknown)}: not described"
    # The value stands before what is wrong with it, and may be long.
    return error.message if len(error.message) <= 200 else f"...{error.message[-200:]}"


def _address_of(url: str) -> str:
    parts = urlsplit(url)
    return _address(unquote(parts.path), parse_qsl(parts.query))


def _address(path: str, query: Iterable[tuple[str, str]]) -> str:
    return f"{path}?{sorted(query)}"
