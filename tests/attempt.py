"""One attempt of an activity, without a server."""

import dataclasses
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.testing import ActivityEnvironment

from cloud.execution.boundary import ActivityBoundary


def environment(*, heartbeat_timeout: timedelta | None = None) -> ActivityEnvironment:
    """Return the environment of a first attempt that has just begun and has a minute."""
    made = ActivityEnvironment()
    made.info = dataclasses.replace(
        made.info,
        started_time=datetime.now(UTC),
        start_to_close_timeout=timedelta(minutes=1),
        heartbeat_timeout=heartbeat_timeout,
    )
    return made


async def inside_boundary(
    call: Callable[[], Coroutine[Any, Any, Any]], attempt: ActivityEnvironment | None = None
) -> Any:
    """Run something as an activity of the worker is run, and return or raise what it lets out."""

    class Inner:
        async def execute_activity(self, _input: object) -> Any:
            return await call()

    boundary = ActivityBoundary().intercept_activity(Inner())  # type: ignore[arg-type]
    nothing: Any = None  # The boundary passes the input on, and no more.
    return await (attempt or environment()).run(boundary.execute_activity, nothing)
