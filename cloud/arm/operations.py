"""The one place where an ARM long-running operation is awaited, heartbeated and resumed."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.polling import AsyncLROPoller
from azure.core.polling.base_polling import OperationFailed
from temporalio import activity

from cloud.errors import failure, not_yet
from cloud.execution import context
from domain import naming

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
    owner: str | None = None,
) -> Any:
    """Return the resource; make it when it does not exist.

    Args:
        operations: The resource type's operations.
        ids: Resource group and names.
        body: Makes what to PUT; called only when it is put.
        poll_interval: Seconds before re-checking a resource that a crashed attempt was still creating.
        replace_failed: Delete a resource whose creation failed, and let the next attempt create it again;
            otherwise it is put again.
        owner: Id of the Cloud PC that the resource belongs to, by its tag; None for what is shared.

    Raises:
        HttpResponseError: A request or the operation failed.
        ApplicationError: It is not there yet; transient.

    """
    existing: Any = None

    async def begin() -> AsyncLROPoller[Any] | None:
        nonlocal existing
        existing = await found(operations.get(*ids))
        if existing is None:
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
            existing = await found(operations.get(*ids))
            if existing is None or not is_owned(existing, owner):
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


async def found(reading: Awaitable[_T]) -> _T | None:
    """Return what is read, or None where Azure says that it does not exist."""
    try:
        return await reading
    except ResourceNotFoundError:
        return None


def is_owned(resource: Any, cloud_pc_id: str) -> bool:
    """Tell whether a resource was made for this Cloud PC: by its tag, whatever its name."""
    tags: dict[str, str] = resource.tags or {}
    return tags.get(naming.CLOUD_PC_TAG) == cloud_pc_id


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
    heart = context.current().heart
    if heart is None:
        activity.heartbeat(*details)
        return
    heart.held = details
    if details:
        heart.beat()
