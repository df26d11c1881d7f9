"""What every activity runs inside: its failures are judged, its attempts counted, its heart kept beating."""

import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.client import AsyncActivityCancelledError
from temporalio.service import RPCError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.errors import application_error
from activities.long_running import heartbeats
from activities.signatures import StepResult
from cloud import lease, secrets

_PROMPT = timedelta(seconds=1)
"""An attempt that reaches its worker within this time is surely this worker's."""


class ActivityBoundary(Interceptor):
    """Wraps every activity of a worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap one activity execution."""
        return _Boundary(next)


class _Boundary(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        secrets.begin()
        info = activity.info()
        attempt = info.attempt
        async with AsyncExitStack() as stack:
            if info.start_to_close_timeout:
                end = time.monotonic() + info.start_to_close_timeout.total_seconds()
                lease.hold(lambda: end)
            if info.heartbeat_timeout:
                await stack.enter_async_context(heartbeats())
            try:
                await _see_that_it_is_ours(info)
                result = await super().execute_activity(input)
            except Exception as error:
                failure = application_error(error, attempt)
                if failure is None:
                    raise
                raise failure from None
        if isinstance(result, StepResult):
            result = result.model_copy(update={"attempts": attempt, "detail": secrets.hidden(result.detail)})
        return result


async def _see_that_it_is_ours(info: activity.Info) -> None:
    """See that the attempt is still this worker's.

    An attempt handed to a worker that stands still waits for it in the worker's socket, and may be another worker's
    long before this one begins with it.

    Raises:
        LeaseExpiredError: It is not, or the server cannot be asked.

    """
    if datetime.now(UTC) - info.started_time < _PROMPT:
        return
    try:
        await activity.client().get_async_activity_handle(task_token=info.task_token).heartbeat(*info.heartbeat_details)
    except AsyncActivityCancelledError:
        # Its cancellation is on the way to the worker as well.
        return
    except RPCError as error:
        raise lease.LeaseExpiredError("the attempt came late; another worker may have taken it over") from error
