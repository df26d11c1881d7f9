"""What all models share: frozen, and named in JSON and YAML as Microsoft Graph names things."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


def graph_name(name: str) -> str:
    """Return Microsoft Graph's spelling of a field, such as `ramInGB` for `ram_in_gb`."""
    return to_camel(name).replace("InGb", "InGB")


class GraphModel(BaseModel):
    """A frozen model whose JSON and YAML names are Graph's.

    Unknown fields are tolerated, since instances live in workflow histories that later versions
    replay. Files and commands are validated with `extra="forbid"` where they enter.
    """

    model_config = ConfigDict(frozen=True, alias_generator=graph_name, validate_by_name=True, validate_by_alias=True)


class WorkflowInput(GraphModel):
    """What a workflow is started with."""
