"""What can be asked of a Cloud PC: one table, from which handlers, refusals, command line and documents are made.

An action is one row. It is asked for by an update of its name, with an answer, or by a signal of its name. Both take
their payload raw: the SDK would drop a signal that it cannot decode, and carry out an update without a field that was
misspelt.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from contract import steps
from contract.activity import CloudPcInput, Step, StepResult
from domain.status import LIVING, SETTLED
from models.azure_network_connection import UnusableConnectionError, connections_of
from models.cloud_pc import CloudPcRequest, CloudPcStatus
from models.remote_actions import (
    Accepted,
    ActionRequest,
    CancelGracePeriod,
    Deprovision,
    EndGracePeriod,
    Reprovision,
    StartGracePeriod,
)
from workflows.cloud_pc.record import CloudPcRecord
from workflows.messages import NOTHING

_Request = TypeVar("_Request", bound=ActionRequest)
_Class = TypeVar("_Class", bound=type[Any])
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Life(Protocol):
    """A Cloud PC's workflow, as far as actions work on it."""

    @property
    def request(self) -> CloudPcRequest:
        """What the Cloud PC was made from."""
        ...

    @property
    def record(self) -> CloudPcRecord:
        """What is known of it."""
        ...

    async def remove(self, request: ActionRequest, *, ends: bool) -> None:
        """Remove what exists, and end the life or begin the next attempt."""
        ...

    def set_grace_period_end(self, end: datetime | None) -> None:
        """Note until when the Cloud PC lives."""
        ...


def _nothing_against(_life: Life, _request: Any) -> str | None:
    return None


@dataclass(frozen=True, eq=False)
class RemoteAction(Generic[_Request]):
    """One action.

    Attributes:
        name: Name of its signal and its update, and of its result; Graph's where Graph has it.
        summary: What it does, in a few words.
        request: Type of what it is asked with.
        states: In which states of the Cloud PC it may be asked for.
        rank: Of what waits, the highest rank begins first, and what has a lower one is canceled by it.
        merges: Whether one that waits takes in an equal one that is asked for; else that waits behind it.
        carry_out: Does it when nothing else is under way; None for one that is done at once.
        at_once: Does it when it is asked for, whatever is under way, and returns whether there was anything to do.
        against: Returns why a request is refused, or None.
        command: Name of its command in `starter.py`; empty for what only a policy asks for.

    """

    name: str
    summary: str
    request: type[_Request]
    states: frozenset[CloudPcStatus]
    rank: int = 0
    merges: bool = True
    carry_out: Callable[[Life, _Request], Awaitable[None]] | None = None
    at_once: Callable[[Life, _Request], bool] | None = None
    against: Callable[[Life, _Request], str | None] = _nothing_against
    command: str = ""

    @property
    def description(self) -> str:
        """What the Web UI and the `temporal` CLI show of its signal and its update."""
        return f'{self.summary}; input {{"reason": "…"}}'


async def _reprovision(life: Life, request: Reprovision) -> None:
    await life.remove(request, ends=False)


def _against_reprovision(life: Life, request: Reprovision) -> str | None:
    policy, made_from = request.policy, life.request.policy
    if policy is None:
        return "connections: given without the policy that names them; add policy" if request.connections else None
    if policy.id != made_from.id:
        return f"policy.id: {policy.id} is another policy; this Cloud PC was made from {made_from.id}"
    try:
        connections_of(policy, request.connections)
    except UnusableConnectionError as error:
        return f"policy.{error}"
    return None


async def _deprovision(life: Life, request: ActionRequest) -> None:
    await life.remove(request, ends=True)


def _against_end(life: Life, _request: EndGracePeriod) -> str | None:
    is_in_one = life.record.cloud_pc.grace_period_end_date_time is not None
    return None if is_in_one else "the Cloud PC is in no grace period; use deprovision"


def _runs(step: Step[CloudPcInput, StepResult]) -> Callable[[Life, ActionRequest], Awaitable[None]]:
    """Return what carries an action out that is one step on the machine."""

    async def run(life: Life, _request: ActionRequest) -> None:
        await life.record.run(step, CloudPcInput(cloud_pc=life.record.reference))

    return run


def _start_grace_period(life: Life, request: StartGracePeriod) -> bool:
    if life.record.cloud_pc.grace_period_end_date_time is not None:
        # One that has begun goes on.
        return False
    life.set_grace_period_end(workflow.now() + timedelta(hours=request.grace_period_in_hours))
    return True


def _cancel_grace_period(life: Life, _request: CancelGracePeriod) -> bool:
    if life.record.cloud_pc.grace_period_end_date_time is None:
        return False
    life.set_grace_period_end(None)
    return True


_MADE = SETTLED | {CloudPcStatus.PROVISIONING}
_ANY = _MADE | {CloudPcStatus.DEPROVISIONING}
_ENDS = 30

DEPROVISION = RemoteAction(
    "deprovision",
    "Remove the Cloud PC for good",
    Deprovision,
    _ANY,
    rank=_ENDS,
    carry_out=_deprovision,
    command="deprovision",
)
END_GRACE_PERIOD = RemoteAction(
    "endGracePeriod",
    "Remove the Cloud PC before its grace period ends",
    EndGracePeriod,
    _MADE,
    rank=_ENDS,
    carry_out=_deprovision,
    against=_against_end,
    command="end-grace-period",
)
REPROVISION = RemoteAction(
    "reprovision",
    "Remove the Cloud PC and make it again",
    Reprovision,
    _MADE,
    rank=20,
    carry_out=_reprovision,
    against=_against_reprovision,
    command="reprovision",
)
RESTART = RemoteAction(
    "restart",
    "Restart the Cloud PC",
    ActionRequest,
    LIVING,
    rank=10,
    carry_out=_runs(steps.RESTART_VIRTUAL_MACHINE),
    command="restart",
)
START_GRACE_PERIOD = RemoteAction(
    "startGracePeriod",
    "Start the grace period (sent by the policy)",
    StartGracePeriod,
    _ANY,
    at_once=_start_grace_period,
)
CANCEL_GRACE_PERIOD = RemoteAction(
    "cancelGracePeriod",
    "Cancel the grace period (sent by the policy)",
    CancelGracePeriod,
    _ANY,
    at_once=_cancel_grace_period,
)

_ROWS: list[Any] = [row for row in globals().values() if isinstance(row, RemoteAction)]
ACTIONS: tuple[RemoteAction[Any], ...] = tuple(_ROWS)
"""Every action."""


class Asked(Protocol):
    """A workflow that can be asked for actions by their handlers."""

    def ask(self, action: RemoteAction[Any], payload: RawValue) -> Accepted:
        """Accept a request, or refuse it by an error."""
        ...

    def check(self, action: RemoteAction[Any], payload: RawValue) -> ActionRequest:
        """Return a request that can be accepted, or refuse it by an error."""
        ...

    def refuse(self, signal: str, error: ApplicationError) -> None:
        """Note why a signal was refused."""
        ...


def with_handlers(kind: _Class) -> _Class:
    """Give a workflow class an update and a signal for each action."""
    for action in ACTIONS:
        setattr(kind, f"_{action.name}_update", _update_of(action))
        setattr(kind, f"_{action.name}_signal", _signal_of(action))
    return kind


def _update_of(action: RemoteAction[Any]) -> Any:
    def update(self: Asked, payload: RawValue = NOTHING) -> Accepted:
        return self.ask(action, payload)

    def validate(self: Asked, payload: RawValue = NOTHING) -> None:
        self.check(action, payload)

    handler = workflow.update(name=action.name, description=action.description)(_as_method(update))
    handler.validator(_as_method(validate))
    return handler


def _signal_of(action: RemoteAction[Any]) -> Any:
    def signal(self: Asked, payload: RawValue = NOTHING) -> None:
        try:
            self.ask(action, payload)
        except ApplicationError as error:
            self.refuse(action.name, error)

    return workflow.signal(name=action.name, description=action.description)(_as_method(signal))


def _as_method(function: _Function) -> _Function:
    """Return the function as methods are written: the SDK would take an annotated `self` for an input."""
    del function.__annotations__["self"]
    return function
