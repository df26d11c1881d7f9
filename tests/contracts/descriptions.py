"""The published descriptions of what Azure Resource Manager and Microsoft Graph can be asked."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.contracts.schemas import Node, Schemas, Use, document

CONTRACTS = Path(__file__).parents[2].parent / "shared" / "contracts"
"""Where the descriptions are, if they are on this machine."""
_SWAGGER = "azure/swagger/specification"
_COMMON_TYPES = f"{_SWAGGER}/common-types/resource-management/v5/types.json"
_METHODS = ("get", "put", "post", "patch", "delete")
_PARAMETER = re.compile(r"{([^}]+)}")


@dataclass(frozen=True, eq=False)
class Parameter:
    """A parameter in the path, the query or a header.

    Attributes:
        name: Its name.
        place: `path`, `query` or `header`.
        is_required: Whether it must be there.
        schema: What it may be.

    """

    name: str
    place: str
    is_required: bool
    schema: Node

    def value(self, text: str) -> Any:
        """Return the value that was sent as text."""
        match self.schema.value.get("type"):
            case "integer" if re.fullmatch(r"-?\d+", text):
                return int(text)
            case "boolean" if text in ("true", "false"):
                return text == "true"
            case "array":
                return text.split(",")
            case _:
                return text


@dataclass(frozen=True)
class Example:
    """A published example: the body of a request, or None, and those of its answers by status."""

    file: str
    request: Any
    answers: Mapping[int, Any]


class Description:
    """One published description and, where there is one, what was read from the SDK of a newer api-version."""

    def __init__(self, path: Path, sdk: Path | None) -> None:
        self._root = Node(path, document(path))
        self._schemas: dict[Use, Schemas] = {}
        self._models = Node(sdk, document(sdk))["definitions"] if sdk else None
        operations: list[dict[str, Any]] = document(sdk)["operations"] if sdk else []
        self._sdk = {(operation["method"], _folded(operation["path"])): operation for operation in operations}

    def operations(self) -> Iterator["Operation"]:
        """Return every operation that is described."""
        is_graph = "openapi" in self._root.value
        version = None if is_graph else self._root.value["info"]["version"]
        paths = self._root["paths"] if "paths" in self._root.value else Node(self._root.path, {})
        for template in paths.value:
            item = paths[template]
            for method in _METHODS:
                if operation := item.get(method):
                    sdk = self._sdk.get((method.upper(), _folded(template)))
                    path = f"/v1.0{template}" if is_graph else template
                    parameters = item.elements("parameters") + operation.elements("parameters")
                    yield Operation(self, method.upper(), path, version, parameters, operation, sdk)

    def validator(self, use: Use, schema: Node) -> Draft202012Validator:
        """Return the validator of one of its schemas."""
        return self._schemas.setdefault(use, Schemas(use)).validator(schema, self._models)


class Operation:
    """One operation: what may be sent and what may be answered.

    Attributes:
        name: Its id in the description.
        method: HTTP method.
        template: Its path with `{parameters}`.
        api_version: The api-version that the SDK asks for, or None for Graph, which has none.

    """

    def __init__(
        self,
        description: Description,
        method: str,
        template: str,
        api_version: str | None,
        parameters: list[Node],
        operation: Node,
        sdk: dict[str, Any] | None,
    ) -> None:
        self.name: str = operation.value["operationId"]
        self.method = method
        self.template = template
        self.api_version: str | None = sdk["api-version"] if sdk else api_version
        self._description = description
        self._operation = operation
        self._sdk = sdk
        self._parameters = [parameter for parameter in parameters if parameter.value["in"] != "body"]
        self._body = next((parameter for parameter in parameters if parameter.value["in"] == "body"), None)
        if content := operation.get("requestBody"):
            self._body = Node(operation.path, {**content.value, **content["content"].value["application/json"]})
        self._validators: dict[str, Draft202012Validator | None] = {}

    @property
    def is_specific(self) -> bool:
        """Whether its path tells what it is about; that of any resource of any provider fits everything."""
        return re.fullmatch(r"/{\w+}", self.template) is None and "{parentResourcePath}" not in self.template

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What its path looks like; its groups are the path parameters in their order."""
        # Such a parameter is an ARM id or a scope, which is a path itself.
        paths = {node.value["name"] for node in self._parameters if node.value.get("x-ms-skip-url-encoding")}
        *parts, end = _PARAMETER.split(self.template)
        pattern = ""
        for literal, name in zip(parts[0::2], parts[1::2], strict=True):
            pattern += re.escape(literal) + ("(.+)" if name in paths else "([^/$][^/]*)")
        # Graph takes both `graph.user` and `microsoft.graph.user`, `delta` and `delta()`.
        end = re.escape(end).replace(r"/graph\.", r"/(?:microsoft\.)?graph\.").replace(r"\(\)", r"(?:\(\))?")
        return re.compile(pattern + end, re.IGNORECASE)

    def path_parameters(self, match: re.Match[str]) -> dict[str, str]:
        """Return the path parameters of a path that the pattern matches."""
        return dict(zip(_PARAMETER.findall(self.template), match.groups(), strict=True))

    @cached_property
    def parameters(self) -> list[Parameter]:
        """Its parameters, those that only the newer SDK knows included."""
        found = [
            Parameter(
                node.value["name"], node.value["in"], node.value.get("required", False), node.get("schema") or node
            )
            for node in self._parameters
        ]
        known = {parameter.name for parameter in found}
        newer = [name for name in (self._sdk or {}).get("query", ()) if name not in known]
        anything = Node(self._operation.path, {})
        return found + [Parameter(name, "query", False, anything) for name in newer]

    def parameter_validator(self, parameter: Parameter) -> Draft202012Validator:
        """Return the validator of a parameter."""
        validator = self._validator(f"{parameter.place} {parameter.name}", "request", parameter.schema)
        assert validator is not None
        return validator

    @property
    def requires_body(self) -> bool:
        """Whether the request must have a body."""
        return self._body is not None and self._body.value.get("required", False)

    @property
    def request(self) -> Draft202012Validator | None:
        """The validator of the request's body, or None where there is none."""
        return self._validator("request", "request", self._body and self._body["schema"])

    def accepts(self, status: int) -> bool:
        """Tell whether this status may be the first answer, when it is not an error's."""
        if self._sdk:
            return status in self._sdk["acceptedInitialStatus"]
        return not {str(status), f"{status // 100}XX"}.isdisjoint(self._operation.value["responses"])

    def content_type(self, status: int) -> str:
        """Return the content type of an answer."""
        response = self._response(status)
        content = response and response.get("content")
        return next(iter(content.value)) if content else "application/json"

    def answer(self, status: int) -> Draft202012Validator | None:
        """Return the validator of an answer's body, or None where there is none."""
        response = self._response(status)
        if response and (content := response.get("content")):
            response = content[self.content_type(status)]
        use: Use = "answer to POST" if self.method == "POST" else "answer"
        return self._validator(f"answer {status}", use, response and response.get("schema"))

    def examples(self) -> Iterator[Example]:
        """Return its published examples, as far as they are on this machine."""
        name = self._body.value.get("name") if self._body else None
        for reference in self._operation.value.get("x-ms-examples", {}).values():
            path = self._operation.path.parent / reference["$ref"]
            if path.exists():
                example = json.loads(path.read_text(encoding="utf-8-sig"))
                answers: dict[int, Any] = {
                    400 if status == "default" else int(status): answer.get("body")
                    for status, answer in example["responses"].items()
                }
                yield Example(path.name, example["parameters"].get(name), answers)

    def _response(self, status: int) -> Node | None:
        responses = self._operation["responses"]
        for key in (str(status), f"{status // 100}XX", "default" if status >= 400 else ""):
            if response := responses.get(key):
                return response.resolved()
        return None

    def _validator(self, key: str, use: Use, schema: Node | None) -> Draft202012Validator | None:
        if key not in self._validators:
            self._validators[key] = self._description.validator(use, schema) if schema else None
        return self._validators[key]


class Descriptions:
    """Everything that is described.

    Attributes:
        operations: All operations, those first whose paths say most.
        operation_status: The validator of what an ARM long-running operation's status is.
        error: The validator of ARM's errors, for operations that describe none of their own.

    """

    def __init__(self, contracts: Path) -> None:
        contracts = contracts.resolve()
        described = [Description(contracts / "graph/openapi-v1.0-cut.json", None)]
        sdks = {path.name.split("-")[2]: path for path in contracts.glob("azure/derived-from-sdk/*.json")}
        for path in (contracts / _SWAGGER).rglob("*.json"):
            if "examples" not in path.parts:
                service = path.relative_to(contracts / _SWAGGER).parts[0]
                described.append(Description(path, sdks.get(service)))
        self.operations = sorted(
            (operation for description in described for operation in description.operations() if operation.is_specific),
            key=lambda operation: len(_PARAMETER.sub("", operation.template)),
            reverse=True,
        )
        common_types = Node(contracts / _COMMON_TYPES, document(contracts / _COMMON_TYPES))["definitions"]
        answers = Schemas("answer")
        self.operation_status = answers.validator(common_types["OperationStatusResult"])
        self.error = answers.validator(common_types["ErrorResponse"])

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation of a request and its path parameters, or None."""
        for operation in self.operations:
            if operation.method == method and (match := operation.pattern.fullmatch(path)):
                return operation, operation.path_parameters(match)
        return None

    def named(self, name: str) -> Operation:
        """Return the operation of this id."""
        return next(operation for operation in self.operations if operation.name == name)


def _folded(template: str) -> str:
    """Return a path template as it is compared: neither case nor the names of parameters count."""
    return _PARAMETER.sub("{}", template).lower()
