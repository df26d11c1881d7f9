"""How client, worker and replayer agree on Temporal: converter, sandbox, task queue, search attributes."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, Self, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import RawValue, SearchAttributeKey
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import SerializationContext, WorkflowSerializationContext
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import ApplicationError
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from models.base import WorkflowInput
from models.validation import one_line

_Input = TypeVar("_Input", bound=WorkflowInput)

TASK_QUEUE = "cloud-pc"
"""Task queue of workflows and activities."""
INVALID_INPUT = "InvalidInput"
"""Type of the failure of what was started with an input that cannot be used."""

STATUS = SearchAttributeKey.for_keyword("CloudPcStatus")
POLICY_ID = SearchAttributeKey.for_keyword("ProvisioningPolicyId")
USER_ID = SearchAttributeKey.for_keyword("CloudPcUserId")
COMPUTER_NAME = SearchAttributeKey.for_keyword("CloudPcName")
SERVICE_PLAN = SearchAttributeKey.for_keyword("ServicePlan")
WARNINGS = SearchAttributeKey.for_keyword_list("CloudPcWarnings")
"""Steps that ended in a warning, or the one that failed."""

SEARCH_ATTRIBUTES: dict[str, str] = {
    STATUS.name: "Keyword",
    POLICY_ID.name: "Keyword",
    USER_ID.name: "Keyword",
    COMPUTER_NAME.name: "Keyword",
    SERVICE_PLAN.name: "Keyword",
    WARNINGS.name: "KeywordList",
}
"""Search attributes that the namespace must have, with their type. They are never encrypted: no names of people."""


_VALUE_TYPES = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "KeywordList": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}


def _sandbox(runner: WorkflowRunner | None) -> WorkflowRunner:
    if not isinstance(runner, SandboxedWorkflowRunner):
        raise TypeError(f"workflows run in the sandbox, not in {type(runner).__name__}")
    # Our own pure modules need not be imported anew for every workflow run.
    restrictions = runner.restrictions.with_passthrough_modules("models", "activities", "workflows")
    return dataclasses.replace(runner, restrictions=restrictions)


class _PayloadConverter(PydanticPayloadConverter):
    """Hands a workflow's input that cannot be decoded on to `required`, undecoded.

    An error here would fail the workflow task, and the server would try that again for ever.
    """

    _is_of_workflow = False

    def with_context(self, context: SerializationContext) -> Self:
        """Return the converter of a workflow's or an activity's payloads."""
        made = copy.copy(self)
        made._is_of_workflow = isinstance(context, WorkflowSerializationContext)
        return made

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Decode payloads."""
        if self._is_of_workflow and len(payloads) > 1 and not type_hints:
            # The types are left out where their number is another: every handler takes one input.
            return [RawValue(Payload())]
        try:
            return super().from_payloads(payloads, type_hints)
        except (ValidationError, KeyError, RuntimeError):
            if type_hints and issubclass(type_hints[0], WorkflowInput):
                return [RawValue(payloads[0])]
            raise


NO_INPUT: Any = None
"""Default of every workflow's input, so that a start without any reaches `required`."""


def required(request: Any, model: type[_Input]) -> _Input:
    """Return a workflow's input.

    Args:
        request: What the workflow was started with.
        model: What it must be.

    Raises:
        ApplicationError: `InvalidInput`, which ends the workflow.

    """
    if isinstance(request, model):
        return request
    if workflow.unsafe.is_replaying():
        # It was accepted once: what lives must not end because a later version is stricter.
        raise RuntimeError(f"the input is no {model.__name__} any more")
    reason = f"input: give one {model.__name__} as JSON"
    if isinstance(request, RawValue) and request.payload.data:
        try:
            model.model_validate_json(request.payload.data)
        except ValidationError as error:
            reason = one_line(error, model)
    raise ApplicationError(reason, type=INVALID_INPUT, non_retryable=True)


PLUGIN = SimplePlugin(
    "cloud-pc",
    data_converter=dataclasses.replace(pydantic_data_converter, payload_converter_class=_PayloadConverter),
    workflow_runner=_sandbox,
)
"""Given to the client, from which workers inherit it, and to a replayer."""


class ConnectionFailedError(Exception):
    """The Temporal server cannot be used; the message says why and what to set, in one line."""


class ProfileError(ConnectionFailedError):
    """The configuration of the Temporal client cannot be read."""


async def connect() -> Client:
    """Connect as `TEMPORAL_*` variables or the profile in `temporal.toml` say, as the CLI does.

    Raises:
        ConnectionFailedError: The configuration is wrong, or the server cannot be reached or refuses.

    """
    try:
        config = ClientConfig.load_client_connect_config()
    except (ValueError, RuntimeError, OSError) as error:
        raise ProfileError(f"TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE: {error}; correct the profile") from error
    target = config.setdefault("target_host", "localhost:7233")
    try:
        return await Client.connect(**config, plugins=[PLUGIN])
    except (RuntimeError, RPCError) as error:
        raise ConnectionFailedError(
            f"TEMPORAL_ADDRESS: no Temporal server answers at {target} ({_first_line(error)}); start it or correct it"
        ) from error


async def require_search_attributes(client: Client) -> None:
    """See that the namespace has our search attributes: without one every workflow task would fail, for ever.

    Raises:
        ConnectionFailedError: One is missing or of another type; the message has the command that makes it.

    """
    try:
        answer = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        raise ConnectionFailedError(
            f"TEMPORAL_NAMESPACE: {client.namespace} cannot be read ({_first_line(error)}); correct it"
        ) from error
    missing = [
        f"--name {name} --type {kind}"
        for name, kind in SEARCH_ATTRIBUTES.items()
        if answer.custom_attributes.get(name) != _VALUE_TYPES[kind]
    ]
    if missing:
        commands = " && ".join(
            f"temporal operator search-attribute create -n {client.namespace} {arguments}" for arguments in missing
        )
        raise ConnectionFailedError(
            f"TEMPORAL_NAMESPACE: {client.namespace} lacks search attributes; make them: {commands}"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
