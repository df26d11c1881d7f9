"""The one place where an ARM long-running operation is awaited, heartbeated and resumed."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from azure.core.exceptions import ResourceNotFoundError
from azure.core.polling import AsyncLROPoller
from temporalio import activity

from activities.errors import not_yet

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Operations(Protocol):
    """The operations group of an ARM resource type, as the SDKs make them."""

    @property
    def get(self) -> Callable[..., Awaitable[Any]]:
        """Reads one resource."""
        ...

    @property
    def begin_create_or_update(self) -> Callable[..., Awaitable[AsyncLROPoller[Any]]]:
        """PUTs one resource."""
        ...

    @property
    def begin_delete(self) -> Callable[..., Awaitable[AsyncLROPoller[None]]]:
        """DELETEs one resource."""
        ...


async def ensure(
    operations: Operations,
    ids: tuple[str, ...],
    body: Callable[[], dict[str, Any]],
    *,
    poll_interval: float,
    replace_failed: bool = False,
) -> Any:
    """Return the resource; make it when it does not exist.

    Args:
        operations: The resource type's operations.
        ids: Resource group and names.
        body: Makes what to PUT; called only when it is put.
        poll_interval: Seconds until a resource is looked at again that an attempt which died is making.
        replace_failed: Delete a resource whose making failed, and let the next attempt make it anew;
            otherwise it is put again.

    Raises:
        HttpResponseError: A request or the operation failed.
        ApplicationError: It is not there yet; transient.

    """
    existing: Any = None

    async def begin() -> AsyncLROPoller[Any] | None:
        nonlocal existing
        try:
            existing = await operations.get(*ids)
        except ResourceNotFoundError:
            return await operations.begin_create_or_update(*ids, body())
        match existing.properties.provisioning_state:
            case "Succeeded":
                return None
            case "Failed" | "Canceled":
                if not replace_failed:
                    return await operations.begin_create_or_update(*ids, body())
                async with heartbeating():
                    await (await operations.begin_delete(*ids)).result()
                raise not_yet(f"{ids[-1]} had failed and was deleted", poll_interval)
            case state:
                raise not_yet(f"{ids[-1]} is {state}", poll_interval)

    async def resume(token: str) -> AsyncLROPoller[Any]:
        return await operations.begin_create_or_update(*ids, {}, continuation_token=token)

    return await complete("/".join(ids), resume=resume, begin=begin) or existing


async def remove(operations: Operations, ids: tuple[str, ...]) -> None:
    """Delete the resource; one that does not exist is deleted already.

    Raises:
        HttpResponseError: A request or the operation failed.

    """

    async def begin() -> AsyncLROPoller[None]:
        return await operations.begin_delete(*ids)

    async def resume(token: str) -> AsyncLROPoller[None]:
        return await operations.begin_delete(*ids, continuation_token=token)

    try:
        await complete("/".join(ids), resume=resume, begin=begin)
    except ResourceNotFoundError:
        # The resource group or the parent is gone, and the resource with it.
        return


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
    saved = activity.info().heartbeat_details
    if len(saved) != 2 or saved[0] != resource:
        return None
    try:
        return await resume(str(saved[1]))
    except ValueError:
        # Written by another version of azure-core.
        _log.info("continuation token of %s cannot be read", resource)
        return None


async def _result(resource: str, poller: AsyncLROPoller[_T]) -> _T:
    try:
        async with heartbeating(resource, poller.continuation_token()):
            return await poller.result()
    finally:
        if poller.status().lower() in ("succeeded", "failed", "canceled"):
            # Else the next attempt would resume the operation that has ended, and not look at what exists.
            activity.heartbeat()


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
