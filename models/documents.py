"""YAML files of policies, connections and service plans, with errors that name file, line and field."""

# ruamel.yaml has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import ScalarEvent
from ruamel.yaml.nodes import MappingNode

from models.azure_network_connection import AzureNetworkConnection
from models.provisioning_policy import ProvisioningPolicy
from models.service_plan import ServicePlanCatalogue
from models.validation import MAX_PROBLEMS, Location, bounded, field_name, problems

_Document = TypeVar("_Document", bound=BaseModel)
_BUILT_IN_PLANS = Path(__file__).with_name("service_plans.yaml")
MAX_BYTES = 256 * 1024
"""Largest file: some hundred service plans."""
MAX_DEPTH = 16
"""How deep a file may be nested; the deepest document needs five levels."""
# A value that stands twice or is taken for an alias may be a secret.
_QUOTED_VALUE = re.compile(r"""(?s)\s(with value )?['"](?!<).{4,}""")

DOCUMENT_TYPES: dict[str, type[BaseModel]] = {
    "provisioning-policy": ProvisioningPolicy,
    "azure-network-connection": AzureNetworkConnection,
    "service-plans": ServicePlanCatalogue,
}
"""What can be written in YAML, by the name of its JSON Schema."""


class DocumentError(Exception):
    """A file cannot be used; the message has a line `file:line: field: what is wrong; remedy` for each error."""


def load_policy(path: Path) -> ProvisioningPolicy:
    """Read a provisioning policy. Raises `DocumentError`."""
    return _load(path, ProvisioningPolicy)


def load_connection(path: Path) -> AzureNetworkConnection:
    """Read an Azure network connection. Raises `DocumentError`."""
    return _load(path, AzureNetworkConnection)


def load_service_plans(path: Path | None = None) -> ServicePlanCatalogue:
    """Read the built-in service plans, with those of an admin's file added or put in place. Raises `DocumentError`."""
    built_in = _load(_BUILT_IN_PLANS, ServicePlanCatalogue)
    return built_in if path is None else built_in.overridden_by(_load(path, ServicePlanCatalogue))


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema by which editors check a document; it knows no fields but the model's."""
    schema = model.model_json_schema(by_alias=True)
    for part in (schema, *schema.get("$defs", {}).values()):
        if part.get("type") == "object":
            part["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


class _Composer(Composer):
    """Refuses what no document needs, and what the constructor would take very long for."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        mark: Any = self.parser.peek_event().start_mark
        if self._depth > MAX_DEPTH:
            raise ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)
        if isinstance(parent, MappingNode) and index is None and not self.parser.check_event(ScalarEvent):
            raise ComposerError(None, None, "the name of a field is a mapping, a list or an alias", mark)
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Constructor(RoundTripConstructor):
    """Says where a value stands that cannot be read, such as the date 2001-99-99."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            raise ConstructorError(
                None, None, "this value cannot be read; put it in quotes", node.start_mark
            ) from error


def _load(path: Path, model: type[_Document]) -> _Document:
    file = bounded(str(path))
    yaml = YAML(typ="rt")
    yaml.Composer, yaml.Constructor = _Composer, _Constructor
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise DocumentError(f"{file}: larger than {MAX_BYTES} bytes; write one document only")
        content: Any = yaml.load(text.decode("utf-8"))
    except OSError as error:
        raise DocumentError(f"{file}: {error.strerror}; give the path of a readable file") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except MarkedYAMLError as error:
        marked: Any = error
        line = marked.problem_mark.line + 1 if marked.problem_mark else 1
        problem = bounded(_QUOTED_VALUE.sub("", marked.problem or "not YAML"))
        raise DocumentError(f"{file}:{line}: {problem}; write valid YAML") from error
    except YAMLError as error:
        raise DocumentError(f"{file}: {bounded(str(error).splitlines()[0])}; write valid YAML") from error
    if not isinstance(content, dict):
        raise DocumentError(f"{file}:1: not a mapping; begin with fields such as `displayName: …`")
    try:
        return model.model_validate(content, extra="forbid", by_name=False)
    except ValidationError as error:
        lines = [
            f"{file}:{_line(content, location)}: {field_name(location) or 'document'}: {message}"
            for location, message in problems(error, model)
        ]
        if error.error_count() > MAX_PROBLEMS:
            lines.append(f"{file}: document: has {error.error_count()} problems; correct these first")
        raise DocumentError("\n".join(lines)) from error


def _line(content: Any, location: Location) -> int:
    """Return the line of a field, or of the nearest thing around it that stands in the file."""
    line = 1
    for part in location:
        if not isinstance(content, CommentedBase):
            break
        around: Any = content
        try:
            line = int(around.lc.data[part][0]) + 1
            content = around[part]
        except (KeyError, IndexError, TypeError):
            break
    return line
