"""The schemas of Swagger 2.0, OpenAPI 3.0 and the SDKs' models as JSON Schema 2020-12, with closed objects."""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker

Use = Literal["request", "answer", "answer to POST"]
"""What a body is: members that only one side may send depend on it. Secrets are told in answers to POST alone."""

_COPIED = ("minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "minimum", "maximum", "const")


@dataclass(frozen=True, eq=False)
class Node:
    """A piece of a description, and the document that its references are relative to."""

    path: Path
    value: Any

    def __getitem__(self, key: str) -> "Node":
        return Node(self.path, self.value[key])

    def get(self, key: str) -> "Node | None":
        """Return the piece below, or None."""
        return self[key] if isinstance(self.value, dict) and key in self.value else None

    @property
    def reference(self) -> tuple[Path, str] | None:
        """The document and JSON pointer that the piece refers to."""
        if not isinstance(self.value, dict) or "$ref" not in self.value:
            return None
        file, _, pointer = self.value["$ref"].partition("#")
        return (self.path.parent / file).resolve() if file else self.path, pointer

    def resolved(self) -> "Node":
        """Return what the piece refers to, or itself."""
        if self.reference is None:
            return self
        path, pointer = self.reference
        value = document(path)
        for key in pointer.split("/")[1:]:
            value = value[key.replace("~1", "/").replace("~0", "~")]
        return Node(path, value).resolved()


@cache
def document(path: Path) -> Any:
    """Return a description, read once."""
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass
class _Members:
    """The members of an object type, inherited ones included."""

    properties: dict[str, Node]
    required: set[str]
    additional: Node | bool | None = None

    @classmethod
    def of(cls, node: Node | None) -> "_Members":
        made = cls({}, set())
        if node is None:
            return made
        node = node.resolved()
        for index in range(len(node.value.get("allOf", ()))):
            base = cls.of(Node(node.path, node.value["allOf"][index]))
            made.properties |= base.properties
            made.required |= base.required
            made.additional = made.additional or base.additional
        made.properties |= {name: node["properties"][name] for name in node.value.get("properties", ())}
        made.required |= set(node.value.get("required", ()))
        if "additionalProperties" in node.value:
            found = node["additionalProperties"]
            made.additional = found.value if isinstance(found.value, bool) else found
        return made


class Schemas:
    """Makes validators for the bodies of one use.

    A member is described by the published description, by the SDK's model of a newer api-version, which adds
    members, or by both: the published description then says what the member is.
    """

    def __init__(self, use: Use) -> None:
        self._use = use
        self._definitions: dict[str, Any] = {}
        self._names: dict[tuple[Any, Any], str] = {}

    def validator(self, published: Node, models: Node | None = None) -> Draft202012Validator:
        """Return the validator of a schema; `models` are the SDK's definitions, which are found by their names."""
        schema = self._schema(published, None, models)
        return Draft202012Validator({**schema, "$defs": self._definitions}, format_checker=_FORMATS)

    def _schema(self, published: Node | None, model: Node | None, models: Node | None) -> dict[str, Any]:
        """Return a schema for the place of a value; at least one of the first two must be given."""
        model = model or _namesake(published, models)
        node = published or model
        assert node is not None
        if "anyOf" in node.value:
            # How Microsoft Graph's description says that a reference may be null.
            reference, null = (Node(node.path, branch) for branch in node.value["anyOf"])
            assert null.value == {"type": "object", "nullable": True}
            return _nullable(self._schema(reference, None, models))
        reference = node.reference
        if reference is None:
            schema = self._inline(published, model and model.resolved(), models)
        else:
            schema = {"$ref": f"#/$defs/{self._definition(published, model, models)}"}
        return _nullable(schema) if node.value.get("x-nullable") or node.value.get("nullable") else schema

    def _definition(self, published: Node | None, model: Node | None, models: Node | None) -> str:
        nodes = published, model
        key = tuple(node and (node.reference or id(node.value)) for node in nodes)
        if key not in self._names:
            name = next(node.reference[1].rsplit("/", 1)[-1] for node in nodes if node and node.reference)
            self._names[key] = unique = f"{name}.{len(self._names)}"
            resolved = [node and node.resolved() for node in nodes]
            derived = _derived(published)
            self._definitions[unique] = {}
            self._definitions[unique] |= self._by_type(derived, self._inline(*resolved, models), models)
        return self._names[key]

    def _inline(self, published: Node | None, model: Node | None, models: Node | None) -> dict[str, Any]:
        node = published or model
        assert node is not None
        value = node.value
        if "discriminator" in value:
            raise NotImplementedError(f"{node.path.name}: a type that a discriminator tells")
        kind = value.get("type") or ("object" if {"properties", "allOf"} & value.keys() else None)
        if kind is None:
            return {}
        schema: dict[str, Any] = {"type": kind} | {key: value[key] for key in _COPIED if key in value}
        if value.get("exclusiveMinimum") is True:
            schema["exclusiveMinimum"] = schema.pop("minimum")
        if value.get("format") in _FORMATS.checkers:
            schema["format"] = value["format"]
        if kind == "array":
            schema["items"] = self._schema(node["items"], model and model.get("items"), models)
        if kind == "object":
            schema |= self._members(published, model, models)
        is_open = value.get("x-ms-enum", {}).get("modelAsString", False)
        if "enum" in value and not is_open:
            schema["enum"] = [*value["enum"], *(model.value.get("x-known-values", ()) if model else ())]
        return schema

    def _members(self, published: Node | None, model: Node | None, models: Node | None) -> dict[str, Any]:
        described, modelled = _Members.of(published), _Members.of(model)
        properties: dict[str, Any] = {}
        required = described.required | modelled.required
        for name in described.properties | modelled.properties:
            ours = described.properties.get(name), modelled.properties.get(name)
            if refusal := self._refusal(*ours):
                required.discard(name)
                properties[name] = {"$comment": refusal, "not": {}}
            else:
                properties[name] = self._schema(*ours, models)
        additional = described.additional if described.additional is not None else modelled.additional
        if isinstance(additional, Node):
            others: Any = self._schema(additional, None, models)
        else:
            has_members = bool(described.properties if published else modelled.properties)
            others = not has_members if additional is None else additional
        schema: dict[str, Any] = {"properties": properties, "additionalProperties": others}
        if required:
            schema["required"] = sorted(required)
        if (published or model).path.name.startswith("openapi"):
            schema["patternProperties"] = {"@odata\\.": {}}
        return schema

    def _refusal(self, published: Node | None, model: Node | None) -> str | None:
        """Return why a member must not be in the body, or None. The newer SDK's word on it counts more."""
        node = model or published
        assert node is not None
        if self._use == "request" and node.value.get("readOnly"):
            return "is read-only"
        if self._use == "answer" and published and published.value.get("x-ms-secret"):
            return "is a secret, which no answer tells"
        return None

    def _by_type(self, derived: Iterable[Node], base: dict[str, Any], models: Node | None) -> dict[str, Any]:
        """Return the schema of the derived type that a Graph object names, else that of its base type."""
        schema = base
        for node in derived:
            name = node.value["$ref"].rpartition("/")[2]
            named = {"properties": {"@odata.type": {"const": f"#{name}"}}, "required": ["@odata.type"]}
            schema = {"if": named, "then": self._schema(node, None, models), "else": schema}
        return schema


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"type": "null"}, "else": schema}


def _namesake(published: Node | None, models: Node | None) -> Node | None:
    if published is None or models is None or published.reference is None:
        return None
    name = published.reference[1].rpartition("/")[2]
    return Node(models.path, {"$ref": f"#/definitions/{name}"}) if name in models.value else None


def _derived(published: Node | None) -> list[Node]:
    """Return references to the types of Graph that inherit from the one referred to."""
    if published is None or published.reference is None or not published.path.name.startswith("openapi"):
        return []
    base = f"#{published.reference[1]}"
    schemas: dict[str, Any] = document(published.path)["components"]["schemas"]
    return [
        Node(published.path, {"$ref": f"#/components/schemas/{name}"})
        for name, schema in schemas.items()
        if any(part.get("$ref") == base for part in schema.get("allOf", ())) and name.startswith("microsoft.graph.")
    ]


_FORMATS = FormatChecker(formats=["uuid", "ipv4", "regex"])
_DURATION = re.compile(r"-?P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")


def _format(name: str, raises: type[Exception] | tuple[type[Exception], ...] = ValueError) -> Any:
    return _FORMATS.checks(name, raises=raises)


@_format("date-time")
def _is_date_time(value: Any) -> bool:
    return not isinstance(value, str) or ("T" in value and datetime.fromisoformat(value).tzinfo is not None)


@_format("duration")
def _is_duration(value: Any) -> bool:
    return not isinstance(value, str) or _DURATION.fullmatch(value) is not None


@_format("int32")
def _is_int32(value: Any) -> bool:
    return not isinstance(value, int) or -(2**31) <= value < 2**31


@_format("byte")
def _is_byte(value: Any) -> bool:
    return not isinstance(value, str) or base64.b64decode(value, validate=True) is not None


@_format("uri")
def _is_uri(value: Any) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme)


@_format("arm-id")
def _is_arm_id(value: Any) -> bool:
    return not isinstance(value, str) or value.startswith("/")
