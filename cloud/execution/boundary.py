"""What every activity runs inside: its failures are judged, its attempts counted, its heart kept beating."""

import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.client import AsyncActivityCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from cloud.errors import application_error
from cloud.execution import context, lease
from cloud.execution.heartbeat import heartbeats
from contract.activity import StepResult
from models.validation import bounded

_PROMPT = 1 / 3
"""An attempt that reaches its worker within this part of the time until it counts as dead is surely this worker's:
the rest is for clocks that differ, and for the work until its first heartbeat."""


class ActivityBoundary(Interceptor):
    """Wraps every activity of a worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap one activity execution."""
        return _Boundary(next)


class _Boundary(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        attempt = info.attempt
        async with AsyncExitStack() as stack:
            own = stack.enter_context(context.begin())
            if info.start_to_close_timeout:
                end = time.monotonic() + (info.start_to_close_timeout - _lateness(info)).total_seconds()
                own.deadline = lambda: end
            if info.heartbeat_timeout:
                await stack.enter_async_context(heartbeats())
            try:
                await _see_that_it_is_ours(info)
                result = await super().execute_activity(input)
            except Exception as error:
                # What is no failure of a service may repeat a secret all the same.
                words = bounded(context.hidden(str(error)))
                failure = application_error(error, attempt) or ApplicationError(words, type=type(error).__name__)
                raise failure from None
            if isinstance(result, StepResult):
                result = result.model_copy(update={"attempts": attempt, "detail": context.hidden(result.detail)})
        return result


async def _see_that_it_is_ours(info: activity.Info) -> None:
    """See that the attempt is still this worker's.

    A suspended worker can still receive an attempt in its socket buffer. By the time it resumes, the server may have
    given that attempt to another worker.

    Raises:
        LeaseExpiredError: It is not, or the server cannot be asked.

    """
    timeout = info.heartbeat_timeout or info.start_to_close_timeout
    if timeout and _lateness(info) < timeout * _PROMPT:
        return
    try:
        await activity.client().get_async_activity_handle(task_token=info.task_token).heartbeat(*info.heartbeat_details)
    except AsyncActivityCancelledError:
        # Its cancellation is on the way to the worker as well.
        return
    except RPCError as error:
        raise lease.LeaseExpiredError("the attempt came late; another worker may have taken it over") from error


def _lateness(info: activity.Info) -> timedelta:
    """Return how long after the server handed the attempt out the worker begins with it."""
    return max(datetime.now(UTC) - info.started_time, timedelta())
