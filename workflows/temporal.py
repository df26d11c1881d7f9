"""How client, worker and replayer agree on Temporal: converter, sandbox, task queue, and what the server must know."""

import copy
import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any, Self, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import SerializationContext, WorkflowSerializationContext
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import ApplicationError
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.search_attributes import SEARCH_ATTRIBUTES
from models.base import GraphModel, WorkflowInput
from models.cloud_pc import RefusedSignal
from models.validation import one_line

_Input = TypeVar("_Input", bound=WorkflowInput)
_Message = TypeVar("_Message", bound=GraphModel)

TASK_QUEUE = "cloud-pc"
"""Task queue of workflows and activities."""
INVALID_INPUT = "InvalidInput"
"""Type of the failure of what was started with an input that cannot be used."""

_VALUE_TYPES = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Datetime": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
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
        is_of_workflow = isinstance(context, WorkflowSerializationContext)
        if is_of_workflow == self._is_of_workflow:
            # The SDK asks for each payload of each task several times, and copies all it has for a new converter.
            return self
        made = copy.copy(self)
        made._is_of_workflow = is_of_workflow
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


_REFUSED_KEPT = 5
NOTHING = RawValue(Payload())
"""Default of a signal's and an update's payload, which are taken raw.

A signal that cannot be decoded would be dropped without a trace, an update refused without the name of the field, and
one with a misspelt field would be carried out without it.
"""


def decoded(payload: RawValue, model: type[_Message]) -> _Message:
    """Return the message that a payload holds; no payload is one without particulars.

    Raises:
        ApplicationError: It cannot be understood; the message names the field.

    """
    try:
        return model.model_validate_json(payload.payload.data or b"{}", extra="forbid")
    except ValidationError as error:
        raise ApplicationError(one_line(error, model)) from error


def no_such_signal(name: str, known: Sequence[str]) -> ApplicationError:
    """Return the error of a signal that has no handler."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"use one of: {', '.join(known)}"
    return ApplicationError(f"no such signal; {hint}")


def with_refused(refused: tuple[RefusedSignal, ...], signal: str, error: ApplicationError) -> tuple[RefusedSignal, ...]:
    """Return the signals that were refused, with one more; the last ones are kept."""
    return (*refused, RefusedSignal(signal=signal, date_time=workflow.now(), error=error.message))[-_REFUSED_KEPT:]


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
