"""What the next attempt is told about the operation that this one has begun."""

from datetime import timedelta
from typing import Any, cast

import pytest
from azure.core.polling import AsyncLROPoller

from cloud.arm.operations import complete
from cloud.execution import context
from cloud.execution.heartbeat import heartbeats
from tests.attempt import environment


class _Operation:
    """A long-running operation, as far as it is looked at."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def continuation_token(self) -> str:
        return "token"

    async def result(self) -> str:
        if self._error:
            raise self._error
        return "made"


async def _told(operation: _Operation) -> list[tuple[Any, ...]]:
    """Bring the operation to its end in an attempt that fails, and return the details of its heartbeats."""
    told: list[tuple[Any, ...]] = []

    async def begin() -> AsyncLROPoller[str]:
        return cast(AsyncLROPoller[str], operation)

    async def resume(token: str) -> AsyncLROPoller[str]:
        raise AssertionError(token)

    async def work() -> None:
        with context.begin():
            async with heartbeats():
                await complete("machine", resume=resume, begin=begin, poll_interval=0.1)
                raise LookupError("the step goes on and fails")

    attempt = environment(heartbeat_timeout=timedelta(minutes=1))
    attempt.on_heartbeat = lambda *details: told.append(details)
    with pytest.raises(LookupError):
        await attempt.run(work)
    return told


async def test_the_token_of_an_operation_that_has_ended_is_not_left_to_the_next_attempt() -> None:
    assert await _told(_Operation()) == [("machine", "token"), ()]


async def test_the_token_of_an_operation_that_is_under_way_is() -> None:
    assert await _told(_Operation(LookupError("no answer to a poll"))) == [("machine", "token")]
