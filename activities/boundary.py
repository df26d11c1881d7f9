"""What every activity runs inside: its failures are judged, its attempts counted, its heart kept beating."""

import time
from contextlib import AsyncExitStack
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.errors import application_error
from activities.long_running import heartbeats
from activities.signatures import StepResult
from cloud import lease, secrets


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
                result = await super().execute_activity(input)
            except Exception as error:
                failure = application_error(error, attempt)
                if failure is None:
                    raise
                raise failure from None
        if isinstance(result, StepResult):
            result = result.model_copy(update={"attempts": attempt, "detail": secrets.hidden(result.detail)})
        return result
