"""YAML files of policies, connections and service plans, with errors that name file, line and field."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from models.azure_network_connection import AzureNetworkConnection
from models.provisioning_policy import ProvisioningPolicy
from models.service_plan import ServicePlanCatalogue
from models.validation import Location, field_name, problems

_Document = TypeVar("_Document", bound=BaseModel)
_BUILT_IN_PLANS = Path(__file__).with_name("service_plans.yaml")
_MAX_BYTES = 1_000_000

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


def _load(path: Path, model: type[_Document]) -> _Document:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DocumentError(f"{path}: larger than {_MAX_BYTES} bytes; write one document only")
        content: Any = YAML(typ="rt").load(path.read_text(encoding="utf-8"))  # pyright: ignore[reportUnknownMemberType]
    except OSError as error:
        raise DocumentError(f"{path}: {error.strerror}; give the path of a readable file") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except MarkedYAMLError as error:
        marked: Any = error
        line = marked.problem_mark.line + 1 if marked.problem_mark else 1
        raise DocumentError(f"{path}:{line}: {marked.problem}; write valid YAML") from error
    except YAMLError as error:
        raise DocumentError(f"{path}: {str(error).splitlines()[0]}; write valid YAML") from error
    if not isinstance(content, dict):
        raise DocumentError(f"{path}:1: not a mapping; begin with fields such as `displayName: …`")
    try:
        return model.model_validate(content, extra="forbid", by_name=False)
    except ValidationError as error:
        lines = [
            f"{path}:{_line(content, location)}: {field_name(location) or 'document'}: {message}"
            for location, message in problems(error, model)
        ]
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
