"""The one place where an ARM long-running operation is awaited, heartbeated and resumed."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.polling import AsyncLROPoller
from azure.core.polling.base_polling import OperationFailed
from temporalio import activity

from activities.errors import failure, not_yet
from cloud import lease

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass
class _Heart:
    """What an attempt heartbeats.

    Attributes:
        held: The details to go with each heartbeat.
        told: Those that went with the last one.

    """

    held: tuple[str, ...]
    told: tuple[str, ...]

    def beat(self) -> None:
        """Heartbeat."""
        self.told = self.held
        activity.heartbeat(*self.held)


_heart: ContextVar[_Heart | None] = ContextVar("heart", default=None)


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
    owner: str | None = None,
) -> Any:
    """Return the resource; make it when it does not exist.

    Args:
        operations: The resource type's operations.
        ids: Resource group and names.
        body: Makes what to PUT; called only when it is put.
        poll_interval: Seconds until a resource is looked at again that an attempt which died is making.
        replace_failed: Delete a resource whose making failed, and let the next attempt make it anew;
            otherwise it is put again.
        owner: Id of the Cloud PC that the resource belongs to, by its tag; None for what is shared.

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
        if owner is not None and not is_owned(existing, owner):
            raise failure("NameTaken", f"{ids[-1]} belongs to somebody else")
        match existing.properties.provisioning_state:
            case "Succeeded":
                return None
            case "Failed" | "Canceled":
                if not replace_failed:
                    return await operations.begin_create_or_update(*ids, body())
                await discard(operations, ids)
                raise not_yet(f"{ids[-1]} had failed and was deleted", poll_interval)
            case state:
                raise not_yet(f"{ids[-1]} is {state}", poll_interval)

    async def resume(token: str) -> AsyncLROPoller[Any]:
        return await operations.begin_create_or_update(*ids, {}, continuation_token=token)

    return await complete("/".join(ids), resume=resume, begin=begin, poll_interval=poll_interval) or existing


async def remove(operations: Operations, ids: tuple[str, ...], *, poll_interval: float, owner: str | None) -> None:
    """Delete the resource; one that does not exist, or is somebody else's, is left as it is.

    Args:
        operations: The resource type's operations.
        ids: Resource group and names.
        poll_interval: Seconds until the next look when the operation is not known any more.
        owner: Id of the Cloud PC that the resource must belong to, by its tag; None when its parent has been looked at.

    Raises:
        HttpResponseError: A request or the operation failed.

    """

    async def begin() -> AsyncLROPoller[None] | None:
        if owner is not None:
            try:
                existing = await operations.get(*ids)
            except ResourceNotFoundError:
                return None
            if not is_owned(existing, owner):
                return None
        return await operations.begin_delete(*ids)

    async def resume(token: str) -> AsyncLROPoller[None]:
        return await operations.begin_delete(*ids, continuation_token=token)

    try:
        # Not the name that `ensure` has for it, or one would resume the other's operation.
        await complete(f"delete {'/'.join(ids)}", resume=resume, begin=begin, poll_interval=poll_interval)
    except ResourceNotFoundError:
        # The resource group or the parent is gone, and the resource with it.
        return


async def discard(operations: Operations, ids: tuple[str, ...]) -> None:
    """Delete what failed and is in the way; where Azure loses sight of the deletion, the next attempt looks again."""
    try:
        await (await operations.begin_delete(*ids)).result()
    except HttpResponseError as error:
        if error.status_code != HTTPStatus.NOT_FOUND:
            raise


def is_owned(resource: Any, cloud_pc_id: str) -> bool:
    """Tell whether a resource was made for this Cloud PC: by its tag, whatever its name."""
    tags: dict[str, str] = resource.tags or {}
    return tags.get("cloudPcId") == cloud_pc_id


async def complete(
    resource: str,
    *,
    resume: Callable[[str], Awaitable[AsyncLROPoller[_T]]],
    begin: Callable[[], Awaitable[AsyncLROPoller[_T] | None]],
    poll_interval: float,
) -> _T | None:
    """Bring one long-running operation to its end, whatever crashed before.

    The order is always the same: a saved continuation token is resumed; else `begin` looks at what
    exists and requests only what is missing; the token is the first heartbeat after the request.

    Args:
        resource: What is worked on; tells this activity's operations apart in its heartbeat.
        resume: Makes a poller from a continuation token; sends no request.
        begin: GETs what exists and begins the operation, or returns None when nothing is to be done.
        poll_interval: Seconds until the next look when the operation is not known any more.

    Returns:
        The operation's result, or None when there was nothing to do.

    Raises:
        HttpResponseError: The operation or a request failed.

    """
    poller = await _resumed(resource, resume) or await begin()
    return None if poller is None else await _result(resource, poller, poll_interval)


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


async def _result(resource: str, poller: AsyncLROPoller[_T], poll_interval: float) -> _T:
    _hold(resource, poller.continuation_token())
    try:
        result = await poller.result()
    except HttpResponseError as error:
        if error.status_code == HTTPStatus.NOT_FOUND:
            # The record of an operation expires, and some are not there at once: look at what exists.
            _hold()
            raise not_yet(f"the operation on {resource} is not known", poll_interval) from error
        if isinstance(error.inner_exception, OperationFailed):
            _hold()
        raise
    # Else a later attempt would resume an operation that has ended, and not look at what exists.
    _hold()
    return result


def _hold(*details: str) -> None:
    """Heartbeat these details, now and until others are held; none are told by the next heartbeat, if there is one."""
    heart = _heart.get()
    if heart is None:
        activity.heartbeat(*details)
        return
    heart.held = details
    if details:
        heart.beat()


@asynccontextmanager
async def heartbeats() -> AsyncGenerator[None, None]:
    """Heartbeat regularly, as long as the body runs, with the token of the operation under way.

    A body that fails leaves no token of an operation that has ended to the next attempt; one that succeeds has none,
    so that most steps need one heartbeat, that of their operation's token.

    The lease on what the activity works on lasts as long as the server is sure to have heard of it: the SDK
    sends a heartbeat when 0.8 of the timeout have passed since the last one. It is renewed more often than there
    is a heartbeat, for a token that comes soon after one would be held back. Once it has run out it stays so:
    a process that wakes up would else renew it before the code that it interrupted comes to its request.
    """
    details = tuple(activity.info().heartbeat_details)
    heart = _Heart(held=details, told=details)
    timeout = (activity.info().heartbeat_timeout or timedelta(seconds=30)).total_seconds()
    last = time.monotonic()
    token = _heart.set(heart)

    def deadline() -> float:
        return last + timeout * 0.2

    lease.hold(deadline)

    async def beat() -> None:
        nonlocal last
        while True:
            for _ in range(3):
                await asyncio.sleep(timeout / 10)
                if (now := time.monotonic()) <= deadline():
                    last = now
            heart.beat()

    beating = asyncio.create_task(beat())
    try:
        yield
    except BaseException:
        if heart.held != heart.told:
            heart.beat()
        raise
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        _heart.reset(token)
