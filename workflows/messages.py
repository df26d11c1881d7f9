"""What people and other programs send to workflows: inputs, signals and updates, read where they enter."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from models.azure_network_connection import AzureNetworkConnection, UnusableConnectionError, connections_of
from models.base import GraphModel, WorkflowInput
from models.provisioning_policy import ProvisioningPolicy
from models.remote_actions import RefusedSignal
from models.validation import did_you_mean, one_line

_Input = TypeVar("_Input", bound=WorkflowInput)
_Message = TypeVar("_Message", bound=GraphModel)

INVALID_INPUT = "InvalidInput"
"""Type of the failure of what was started with an input that cannot be used."""

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
    reason = f"input: give one {model.__name__} as JSON"
    if isinstance(request, RawValue) and request.payload.data:
        try:
            model.model_validate_json(request.payload.data)
        except ValidationError as error:
            reason = one_line(error, model)
    raise invalid_input(reason)


def invalid_input(reason: str, kind: str = INVALID_INPUT) -> Exception:
    """Return the error of an input that cannot be used.

    Args:
        reason: What is wrong, and the remedy.
        kind: Type of the failure.

    Returns:
        For a fresh start, and in an update, an `ApplicationError` that ends it. A run that was accepted once must not
        end because a later worker is stricter: for one that is replayed, continued or reset, an error that fails the
        workflow task, which the server gives to workers again and again until one can use the input.

    """
    info = workflow.info()
    is_fresh = info.continued_run_id is None and info.run_id == info.original_execution_run_id
    if (is_fresh and not workflow.unsafe.is_replaying()) or workflow.current_update_info() is not None:
        return ApplicationError(reason, type=kind, non_retryable=True)
    return RuntimeError(f"the input cannot be used any more: {reason}")


REFUSED_KEPT = 5
"""How many refused signals a workflow shows."""
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
    return ApplicationError(f"no such signal; {did_you_mean(name, known)}")


def with_refused(refused: tuple[RefusedSignal, ...], signal: str, error: ApplicationError) -> tuple[RefusedSignal, ...]:
    """Return the signals that were refused, with one more; the last ones are kept."""
    return (*refused, RefusedSignal(signal=signal, date_time=workflow.now(), error=error.message))[-REFUSED_KEPT:]


def usable_connections(
    policy: ProvisioningPolicy, connections: Sequence[AzureNetworkConnection], field: str = ""
) -> tuple[AzureNetworkConnection, ...]:
    """Return the connections that a policy names, in its order.

    Args:
        policy: The policy.
        connections: Those that were given.
        field: Where the policy is in the message that brought it, such as `policy.`.

    Raises:
        ApplicationError: `UnusableConnection`, which ends the workflow: one is missing or does not match.

    """
    try:
        return connections_of(policy, connections)
    except UnusableConnectionError as error:
        raise invalid_input(f"{field}{error}", "UnusableConnection") from error
