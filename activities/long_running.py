"""The one place where an ARM long-running operation is awaited, heartbeated and resumed."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

from azure.core.exceptions import ResourceNotFoundError
from azure.core.polling import AsyncLROPoller
from temporalio import activity

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


async def complete(
    resource: str,
    *,
    resume: Callable[[str], Awaitable[AsyncLROPoller[_T]]],
    begin: Callable[[], Awaitable[AsyncLROPoller[_T] | None]],
) -> _T | None:
    """Bring one long-running operation to its end, whatever crashed before.

    The order is always the same: a saved continuation token is resumed; else `begin` looks at what
    exists and requests only what is missing; the token is the first heartbeat after the request.

    Args:
        resource: What is worked on; tells this activity's operations apart in its heartbeat.
        resume: Makes a poller from a continuation token; sends no request.
        begin: GETs what exists and begins the operation, or returns None when nothing is to be done.

    Returns:
        The operation's result, or None when there was nothing to do.

    Raises:
        HttpResponseError: The operation or a request failed.

    """
    poller = await _resumed(resource, resume)
    if poller is not None:
        try:
            return await _result(resource, poller)
        except ResourceNotFoundError:
            # The record of an operation expires, and some are not there at once: look at what exists.
            _log.info("operation on %s is not known any more", resource)
    poller = await begin()
    return None if poller is None else await _result(resource, poller)


async def _resumed(resource: str, resume: Callable[[str], Awaitable[AsyncLROPoller[_T]]]) -> AsyncLROPoller[_T] | None:
    match activity.info().heartbeat_details:
        case [str(saved_resource), str(token)] if saved_resource == resource:
            try:
                return await resume(token)
            except ValueError:
                # Written by another version of azure-core.
                _log.info("continuation token of %s cannot be read", resource)
    return None


async def _result(resource: str, poller: AsyncLROPoller[_T]) -> _T:
    async with heartbeating(resource, poller.continuation_token()):
        return await poller.result()


@asynccontextmanager
async def heartbeating(*details: str) -> AsyncGenerator[None, None]:
    """Heartbeat the same details at once and then regularly, as long as the body runs."""
    interval = (activity.info().heartbeat_timeout or timedelta(seconds=30)) / 3

    async def beat() -> None:
        while True:
            await asyncio.sleep(interval.total_seconds())
            activity.heartbeat(*details)

    activity.heartbeat(*details)
    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
