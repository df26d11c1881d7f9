"""What a row of the tables of activities is: by it a workflow runs an activity and a worker serves it."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from temporalio import activity

from models.base import GraphModel
from models.cloud_pc import CloudPcReference, Stage
from models.provisioning_policy import ProvisioningPolicy

_Self = TypeVar("_Self")
_Input = TypeVar("_Input", bound=GraphModel)
_Result = TypeVar("_Result")
_Function = TypeVar("_Function", bound=Callable[..., Any])
_NAME = "__activity_name__"


class Service(StrEnum):
    """Whose budget of requests an activity spends; the value ends the name of the task queue that keeps it."""

    AZURE = "azure"
    GRAPH = "graph"
    TEMPORAL = ""
    """It asks the Temporal server only, and waits on the queue of the workflows."""


def service_queue(task_queue: str, service: Service) -> str:
    """Return the task queue on which the activities of a service wait, beside the workflows' own."""
    return f"{task_queue}-{service}" if service else task_queue


@dataclass(frozen=True)
class StepPolicy:
    """How long an activity may take: a few times what it is known to take, so that a slow day is no failure.

    Attributes:
        attempt: `start_to_close`, the longest time of one attempt, minutes.
        in_all: `schedule_to_close`, the longest time of all attempts together, minutes.
        reason: What it really takes.
        beats: It awaits long-running operations and heartbeats.

    """

    attempt: float
    in_all: float
    reason: str
    beats: bool = False


class NoInput(GraphModel):
    """The input of an activity that needs none."""


class CloudPcInput(GraphModel):
    """The Cloud PC to work on."""

    cloud_pc: CloudPcReference


class StepResult(GraphModel):
    """What every step says of itself; the worker's interceptor fills it in."""

    attempts: int = 0
    """How often the activity ran, this time included."""
    detail: str = ""
    """What came of it, in one line."""


@dataclass(frozen=True, eq=False)
class Activity(Generic[_Input, _Result]):
    """One activity.

    Attributes:
        name: Its name in Temporal, which stands in histories.
        title: What it does, for people.
        input: Type of its one input.
        result: Type of its result.
        service: Whose budget of requests it spends.
        policy: How long it may take.

    """

    name: str
    title: str
    input: type[_Input]
    result: type[_Result]
    service: Service
    policy: StepPolicy

    def __str__(self) -> str:
        return self.name

    @property
    def activity_id(self) -> str:
        """The activity id, as it is typed after `temporal activity … --activity-id`."""
        return self.name.replace("_", "-")

    def implemented_by(
        self, method: Callable[[_Self, _Input], Coroutine[Any, Any, _Result]]
    ) -> Callable[[_Self, _Input], Coroutine[Any, Any, _Result]]:
        """Make a method the implementation; one of other types is refused by the type checker."""
        return self._served(method)

    def served_by(
        self, function: Callable[[_Input], Coroutine[Any, Any, _Result]]
    ) -> Callable[[_Input], Coroutine[Any, Any, _Result]]:
        """Make a function that is no method the implementation."""
        return self._served(function)

    def _served(self, function: _Function) -> _Function:
        setattr(function, _NAME, self.name)
        return activity.defn(name=self.name)(function)

    def read(self, result: bytes) -> _Result:
        """Read a result from its JSON.

        Raises:
            ValidationError: It is no such result: an activity that was completed by hand may have any.

        """
        return TypeAdapter[_Result](self.result).validate_json(result)


def activity_of(function: object) -> str | None:
    """Return the name of the activity that a function or a bound method implements, or None."""
    return getattr(function, _NAME, None)


def every_policy(_: ProvisioningPolicy) -> bool:
    """Tell that a step is gone through whatever the policy says."""
    return True


@dataclass(frozen=True, eq=False)
class Step(Activity[_Input, _Result]):
    """One step of the work on a Cloud PC.

    Attributes:
        stage: To which stage it belongs.
        applies: Whether the Cloud PCs of a policy go through it.
        patch: Id of `workflow.patched` without which a run was begun before the step existed and goes on without it;
            empty for a step that every run has.

    """

    stage: Stage
    applies: Callable[[ProvisioningPolicy], bool] = every_policy
    patch: str = ""


@dataclass(frozen=True, eq=False)
class GuestScript(Step[CloudPcInput, StepResult]):
    """A step that runs a file in the guest: the `.ps1` of its name beside the other steps of its stage."""


AnyStep = Step[Any, Any]
"""A step of whichever input and result."""


def guest_script(name: str, title: str, policy: StepPolicy, stage: Stage, patch: str = "") -> GuestScript:
    """Return the row of a step that only runs a file."""
    return GuestScript(name, title, CloudPcInput, StepResult, Service.AZURE, policy, stage, patch=patch)
