"""The one place that runs an activity: where it waits, what it is called, and how its end is read.

What a person can do to an activity by the `temporal` CLI ends here: a result that cannot be read would fail the
workflow task, and the server would try that again for ever.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import Priority, RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from contract.activity import Activity, StepPolicy, service_queue
from contract.errors import ActivityFailedError, read_failure
from contract.steps import FIND_USER
from models.base import GraphModel
from models.validation import one_line

_Input = TypeVar("_Input", bound=GraphModel)
_Result = TypeVar("_Result")

RETRY_POLICY = RetryPolicy(
    initial_interval=timedelta(seconds=2),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
    # Without a limit of attempts: what is waited for is polled by retrying, and the time in all ends it.
)
"""Of every activity. What a service asks for in `Retry-After`, or a step that polls, overrides the interval."""
HEARTBEAT_TIMEOUT = timedelta(seconds=30)
"""After so long a silence a worker counts as dead, where an activity awaits long-running operations."""

ASKED_FOR = Priority(priority_key=1)
"""Priority of what an admin waits for; a smaller key is served first, 3 is what has none."""
REGULAR = Priority(priority_key=3)
"""Priority of what happens by itself."""


def options_of(policy: StepPolicy) -> workflow.ActivityConfig:
    """Return the activity options that a policy stands for."""
    config = workflow.ActivityConfig(
        start_to_close_timeout=timedelta(minutes=policy.attempt),
        schedule_to_close_timeout=timedelta(minutes=policy.in_all),
        retry_policy=RETRY_POLICY,
        # With the default, removing begins while the making still runs.
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )
    if policy.beats:
        config["heartbeat_timeout"] = HEARTBEAT_TIMEOUT
    return config


async def run(
    activity: Activity[_Input, _Result],
    request: _Input,
    *,
    about: str = "",
    key: str = "",
    priority: Priority = ASKED_FOR,
    within: timedelta | None = None,
    on_refused: Callable[[str], None] | None = None,
) -> _Result:
    """Run an activity until its result can be read, and return it.

    Args:
        activity: The activity's row.
        request: Its input.
        about: What it is about, for the Web UI: a computer's name, a policy's.
        key: Ends its activity id where several of one kind run at the same time.
        priority: Where it stands in its queue.
        within: Longest time of all attempts together, where it is not the row's.
        on_refused: Is told of a result that cannot be read, after which the activity runs again.

    Raises:
        ActivityFailedError: It failed for good.
        ActivityError: It was cancelled.

    """
    options = options_of(activity.policy)
    if within:
        options["schedule_to_close_timeout"] = within
    options["priority"] = priority
    options["summary"] = f"{activity.title} · {about}" if about else activity.title
    has_own_queue = _has_own_queue()
    if has_own_queue:
        options["task_queue"] = service_queue(workflow.info().task_queue, activity.service)
    if has_own_queue or activity is FIND_USER:
        options["activity_id"] = f"{activity.activity_id}-{key}" if key else activity.activity_id
    while True:
        try:
            # Taken raw, since a result of another type would fail the workflow task.
            raw: RawValue | None = await workflow.execute_activity(
                activity.name, request, result_type=RawValue, **options
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            raise ActivityFailedError(activity.name, read_failure(error)) from error
        try:
            return activity.read((raw and raw.payload.data) or b"null")
        except ValidationError as error:
            problem = one_line(error, _model_of(activity.result))
        options["summary"] = f"{activity.title}, again after an invalid result"
        workflow.logger.warning("%s was completed by hand with an invalid result: %s", activity.name, problem)
        if on_refused:
            on_refused(problem)


def _has_own_queue() -> bool:
    """Tell whether activities wait on their service's queue, under ids of their own.

    Those of Cloud PCs always have; those of other workflows do in runs that were begun with this.
    """
    return workflow.info().workflow_type == "CloudPcWorkflow" or workflow.patched("one-runner")


def _model_of(result: type[object]) -> type[GraphModel]:
    return result if issubclass(result, GraphModel) else GraphModel
