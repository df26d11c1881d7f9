"""The schemas of Swagger 2.0, OpenAPI 3.0 and the SDKs' models as JSON Schema 2020-12, with closed objects."""

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker

Use = Literal["request", "answer", "answer to POST"]
"""What a body is for. Members that are read-only are not sent; secrets are told in answers to POST alone."""

_COPIED = ("minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "minimum", "maximum")
_ANNOTATION = "@"
"""What marks a member that OData defines, such as `@odata.type` or `members@delta`."""


@cache
def document(path: Path) -> Any:
    """Return a description, read once."""
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, eq=False)
class Node:
    """A piece of a description, and the document that its references are relative to."""

    path: Path
    value: Any

    def __getitem__(self, key: str) -> "Node":
        return Node(self.path, self.value[key])

    def get(self, key: str) -> "Node | None":
        """Return the piece below, or None."""
        return self[key] if key in self.value else None

    def elements(self, key: str) -> "list[Node]":
        """Return the elements of the list below, references followed."""
        return [Node(self.path, element).resolved() for element in self.value.get(key, ())]

    @property
    def reference(self) -> tuple[Path, str] | None:
        """The document and the JSON pointer that the piece refers to, or None."""
        if "$ref" not in self.value:
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
            value = value[key]
        return Node(path, value).resolved()


@dataclass
class _Members:
    """The members of an object type, inherited ones included."""

    properties: dict[str, Node] = field(default_factory=dict[str, Node])
    required: set[str] = field(default_factory=set[str])
    additional: Node | None = None

    @classmethod
    def of(cls, node: Node | None) -> "_Members":
        made = cls()
        if node is None:
            return made
        for base in node.elements("allOf"):
            inherited = cls.of(base)
            made.properties |= inherited.properties
            made.required |= inherited.required
            made.additional = inherited.additional or made.additional
        made.properties |= {name: node["properties"][name] for name in node.value.get("properties", ())}
        made.required |= set(node.value.get("required", ()))
        made.additional = node.get("additionalProperties") or made.additional
        return made


class Schemas:
    """Makes validators for the bodies of one use.

    A value is described by the published description, by the SDK's model of a newer api-version, which
    adds members, or by both: the published description then says what it is.
    """

    def __init__(self, use: Use) -> None:
        self._use = use
        self._definitions: dict[str, Any] = {}
        self._names: dict[Any, str] = {}

    def validator(self, schema: Node, models: Node | None = None) -> Draft202012Validator:
        """Return the validator of a schema; `models` are the SDK's, which are found by the schemas' names."""
        converted = self._schema(schema, None, models)
        return Draft202012Validator({**converted, "$defs": self._definitions}, format_checker=_FORMATS)

    def _schema(self, published: Node | None, model: Node | None, models: Node | None) -> dict[str, Any]:
        """Return the schema of a value, described by one or both of the first two."""
        node = published or model
        assert node is not None
        if "anyOf" in node.value:
            # How Graph's description says that a reference may be null.
            reference, null = node.value["anyOf"]
            assert null == {"type": "object", "nullable": True}
            return _nullable(self._schema(Node(node.path, reference), None, models))
        model = model or _namesake(published, models)
        if node.reference:
            schema = {"$ref": f"#/$defs/{self._definition(published, model, models)}"}
        else:
            schema = self._inline(published, model and model.resolved(), models)
        return _nullable(schema) if node.value.get("x-nullable") or node.value.get("nullable") else schema

    def _definition(self, published: Node | None, model: Node | None, models: Node | None) -> str:
        """Return the name of the definition of what is referred to; made once, for types refer to themselves."""
        node = published or model
        assert node is not None and node.reference is not None
        key = node.reference, model and (model.reference or id(model.value))
        if key not in self._names:
            name = f"{node.reference[1].rpartition('/')[2]}.{len(self._names)}"
            self._names[key] = name
            schema = self._inline(published and published.resolved(), model and model.resolved(), models)
            for derived in _derived_types(node):
                # Graph says which type an object is of, where it is not the one that is expected.
                type_name = f"#{derived.value['$ref'].rpartition('/')[2]}"
                is_of_it = {"properties": {"@odata.type": {"const": type_name}}, "required": ["@odata.type"]}
                schema = {"if": is_of_it, "then": self._schema(derived, None, models), "else": schema}
            self._definitions[name] = schema
        return self._names[key]

    def _inline(self, published: Node | None, model: Node | None, models: Node | None) -> dict[str, Any]:
        node = published or model
        assert node is not None
        value = node.value
        if "discriminator" in value:
            raise NotImplementedError(f"{node.path.name}: types that a discriminator tells apart")
        kind = value.get("type") or ("object" if {"properties", "allOf"} & value.keys() else None)
        if kind is None:
            return {}
        schema: dict[str, Any] = {"type": kind} | {key: value[key] for key in _COPIED if key in value}
        if value.get("exclusiveMinimum"):
            schema["exclusiveMinimum"] = schema.pop("minimum")
        if "format" in value:
            schema["format"] = value["format"]
        if "enum" in value and not value.get("x-ms-enum", {}).get("modelAsString"):
            newer = model.value.get("x-known-values", ()) if model else ()
            schema["enum"] = list(dict.fromkeys([*value["enum"], *newer]))
        if kind == "array":
            schema["items"] = self._schema(node["items"], model and model.get("items"), models)
        if kind == "object":
            schema |= self._object(published, model, models)
        return schema

    def _object(self, published: Node | None, model: Node | None, models: Node | None) -> dict[str, Any]:
        described, modelled = _Members.of(published), _Members.of(model)
        required = described.required | modelled.required
        properties: dict[str, Any] = {}
        for name in described.properties | modelled.properties:
            both = described.properties.get(name), modelled.properties.get(name)
            if refusal := self._refusal(*both):
                required.discard(name)
                properties[name] = {"$comment": refusal, "not": {}}
            else:
                properties[name] = self._schema(*both, models)
        members = described if published else modelled
        # A type without members of its own takes any.
        others: Any = not members.properties
        if members.additional is not None:
            is_schema = isinstance(members.additional.value, dict)
            others = self._schema(members.additional, None, models) if is_schema else members.additional.value
        schema = {"properties": properties, "required": sorted(required), "additionalProperties": others}
        if published and _is_graph(published):
            schema["patternProperties"] = {_ANNOTATION: {}}
        return schema

    def _refusal(self, published: Node | None, model: Node | None) -> str | None:
        """Return why a member must not be there, or None; on what is read-only the newer SDK has the last word."""
        newest = model or published
        assert newest is not None
        if self._use == "request" and newest.value.get("readOnly"):
            return "is read-only"
        if self._use == "answer" and published and published.value.get("x-ms-secret"):
            return "is a secret, which no answer tells"
        return None


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    # Not anyOf: its errors would not say what is wrong.
    return {"if": {"type": "null"}, "else": schema}


def _namesake(published: Node | None, models: Node | None) -> Node | None:
    if published is None or published.reference is None or models is None:
        return None
    name = published.reference[1].rpartition("/")[2]
    return Node(models.path, {"$ref": f"#/definitions/{name}"}) if name in models.value else None


def _is_graph(node: Node) -> bool:
    return node.path.name.startswith("openapi")


def _derived_types(base: Node) -> list[Node]:
    """Return references to the types of Graph that inherit from the one referred to."""
    if not _is_graph(base):
        return []
    schemas: dict[str, Any] = document(base.path)["components"]["schemas"]
    return [
        Node(base.path, {"$ref": f"#/components/schemas/{name}"})
        for name, schema in schemas.items()
        if name.startswith("microsoft.graph.") and {"$ref": base.value["$ref"]} in schema.get("allOf", ())
    ]


_FORMATS = FormatChecker(formats=["uuid"])
"""The formats that are checked; others count for nothing."""


@_FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: Any) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_FORMATS.checks("int32")
def _is_int32(value: Any) -> bool:
    return not isinstance(value, int) or -(2**31) <= value < 2**31


@_FORMATS.checks("byte", raises=binascii.Error)
def _is_byte(value: Any) -> bool:
    if isinstance(value, str):
        base64.b64decode(value, validate=True)
    return True


@_FORMATS.checks("uri")
def _is_uri(value: Any) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme)


@_FORMATS.checks("arm-id")
def _is_arm_id(value: Any) -> bool:
    return not isinstance(value, str) or value.startswith("/")
