"""The published descriptions of Azure Resource Manager's and Microsoft Graph's operations."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.contracts.schemas import Node, Schemas, Use, document

CONTRACTS = Path(__file__).parents[2].parent / "shared" / "contracts"
"""Where the descriptions are, if they are on this machine."""
_METHODS = ("get", "put", "post", "patch", "delete")
_COMMON_TYPES = "azure/swagger/specification/common-types/resource-management/v5/types.json"


@dataclass(frozen=True, eq=False)
class Parameter:
    """A parameter of an operation outside its body."""

    name: str
    place: str
    """`path`, `query` or `header`."""
    required: bool
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


class Operation:
    """One operation: what may be sent and what may be answered.

    Attributes:
        name: Its id in the description.
        method: HTTP method.
        template: Its path with `{parameters}`.
        api_version: The api-version to be asked for, or None.
        accepted: What the SDK takes as the first answer, or None where no SDK was read.

    """

    def __init__(
        self, description: "Description", method: str, template: str, shared: list[Node], operation: Node
    ) -> None:
        self._description = description
        self._operation = operation
        self._parameters = [
            *shared,
            *(
                Node(operation.path, item).resolved()
                for item in operation.value.get("parameters", ())
            ),
        ]
        self.name: str = operation.value["operationId"]
        self.method = method.upper()
        self.template = template
        self._validators: dict[str, Draft202012Validator | None] = {}
        derived = description.derived.get((self.method, folded(template)))
        self._model_queries: list[str] = derived["query"] if derived else []
        self.accepted: frozenset[int] | None = frozenset(derived["acceptedInitialStatus"]) if derived else None
        self.api_version: str | None = derived["api-version"] if derived else description.api_version

    @cached_property
    def parameters(self) -> list[Parameter]:
        """Its parameters outside the body, those that only the SDK knows included."""
        found: list[Parameter] = []
        for node in self._parameters:
            if node.value["in"] != "body":
                schema = node.get("schema") or node
                found.append(Parameter(node.value["name"], node.value["in"], node.value.get("required", False), schema))
        known = {parameter.name for parameter in found}
        text = Node(self._operation.path, {"type": "string"})
        return found + [Parameter(name, "query", False, text) for name in self._model_queries if name not in known]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What its path looks like; its groups are the path parameters in their order."""
        spans = {
            node.value["name"]
            for node in self._parameters
            if node.value["in"] == "path" and node.value.get("x-ms-skip-url-encoding")
        }
        pattern = ""
        for part in re.split(r"({[^}]+})", self.template):
            if part.startswith("{"):
                pattern += "(.+)" if part[1:-1] in spans else "([^/]+)"
            else:
                pattern += re.escape(part)
        return re.compile(pattern.replace(r"/\(\)", ""), re.IGNORECASE)

    @property
    def path_parameters(self) -> list[str]:
        """The names of its path parameters in their order."""
        return re.findall(r"{([^}]+)}", self.template)

    @property
    def is_specific(self) -> bool:
        """Whether its path tells what it is about; `/{resourceId}` fits everything."""
        is_generic = self.name.startswith("Resources_") and "{resourceType}" in self.template
        return not is_generic and re.fullmatch(r"/{\w+}", self.template) is None

    @property
    def statuses(self) -> set[str]:
        """The statuses that are described, `default` and `4XX` among them."""
        return set(self._operation.value["responses"])

    def parameter_validator(self, parameter: Parameter) -> Draft202012Validator:
        """Return the validator of a parameter."""
        key = f"{parameter.place} {parameter.name}"
        if key not in self._validators:
            self._validators[key] = self._description.schemas("request").validator(parameter.schema)
        return self._validators[key]  # type: ignore[return-value]

    @cached_property
    def request(self) -> Draft202012Validator | None:
        """The validator of the request's body, or None where there is none."""
        for node in self._parameters:
            if node.value["in"] == "body":
                return self._validator("request", node["schema"])
        content = self._operation.get("requestBody")
        return self._validator("request", content["content"]["application/json"]["schema"]) if content else None

    def answer(self, status: int) -> Draft202012Validator | None:
        """Return the validator of the body of an answer, or None where none is described."""
        responses = self._operation["responses"]
        use: Use = "answer to POST" if self.method == "POST" else "answer"
        for key in (str(status), f"{status // 100}XX", "default" if status >= 400 else ""):
            if node := responses.get(key):
                node = node.resolved()
                if content := node.get("content"):
                    node = content[next(iter(content.value))]
                if key not in self._validators:
                    self._validators[key] = self._validator(use, node["schema"]) if node.get("schema") else None
                return self._validators[key]
        return None

    @property
    def examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The published examples that are on this machine, by their file names."""
        for example in self._operation.value.get("x-ms-examples", {}).values():
            path = self._operation.path.parent / example["$ref"]
            if path.exists():
                yield path.name, json.loads(path.read_text(encoding="utf-8-sig"))

    def _validator(self, use: Use, schema: Node) -> Draft202012Validator:
        return self._description.schemas(use).validator(schema, self._description.models)


@dataclass(eq=False)
class Description:
    """One published description, and what was read from the SDK of a newer api-version."""

    path: Path
    sdk: Path | None

    def __post_init__(self) -> None:
        self._schemas: dict[Use, Schemas] = {}
        operations = document(self.sdk)["operations"] if self.sdk else []
        self.derived = {(operation["method"], folded(operation["path"])): operation for operation in operations}
        self.models = Node(self.sdk, document(self.sdk))["definitions"] if self.sdk else None

    @property
    def api_version(self) -> str | None:
        """The api-version described, or None for Graph, which has none."""
        return document(self.path)["info"]["version"] if "swagger" in document(self.path) else None

    def schemas(self, use: Use) -> Schemas:
        """Return the schemas of one use."""
        return self._schemas.setdefault(use, Schemas(use))

    def operations(self) -> Iterator[Operation]:
        """Return every operation described."""
        root = Node(self.path, document(self.path))
        prefix = "/v1.0" if self.api_version is None else ""
        for template in root.value.get("paths", ()):
            item = root["paths"][template]
            shared = [Node(self.path, parameter).resolved() for parameter in item.value.get("parameters", ())]
            for method in _METHODS:
                if operation := item.get(method):
                    yield Operation(self, method, prefix + template, shared, operation)


class Descriptions:
    """Every operation that is described.

    Attributes:
        operations: All of them, those whose paths say most first.

    """

    def __init__(self, contracts: Path) -> None:
        contracts = contracts.resolve()
        sdks = {path.name.split("-")[2]: path for path in contracts.glob("azure/derived-from-sdk/*.json")}
        swagger = contracts / "azure/swagger/specification"
        described = [Description(contracts / "graph/openapi-v1.0-cut.json", None)]
        for path in swagger.rglob("*.json"):
            if "examples" not in path.parts:
                described.append(Description(path, sdks.get(path.relative_to(swagger).parts[0])))
        found = [operation for description in described for operation in description.operations()]
        self.operations = sorted(
            (operation for operation in found if operation.is_specific),
            key=lambda operation: -len(re.sub(r"{[^}]+}", "", operation.template)),
        )
        types = contracts / _COMMON_TYPES
        common = Node(types, document(types))["definitions"]
        self.operation_status = Schemas("answer").validator(common["OperationStatusResult"])
        self.error = Schemas("answer").validator(common["ErrorResponse"])

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation of a request and its path parameters, or None."""
        for operation in self.operations:
            if operation.method == method and (match := operation.pattern.fullmatch(path)):
                return operation, dict(zip(operation.path_parameters, match.groups(), strict=True))
        return None

    def named(self, name: str) -> Operation:
        """Return the operation of this id."""
        return next(operation for operation in self.operations if operation.name == name)


def folded(template: str) -> str:
    """Return a path template as it is compared: parameters may have other names, and case does not count."""
    return re.sub(r"{[^}]+}", "{}", template).lower()
