"""Reads that are the same for many Cloud PCs."""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from async_lru import alru_cache
from temporalio import activity

_T = TypeVar("_T")


class Shared(Generic[_T]):
    """A read that is made once by all that ask at the same time, and remembered for a while.

    What is remembered may be out of date, so it serves only to leave out requests: Azure has the last word when
    something is made. An attempt that follows another reads again, for it may have failed by what was remembered.

    Args:
        read: Makes the request; its arguments tell the answers apart. A failure is not remembered.
        seconds: For how long an answer is remembered.

    """

    def __init__(self, read: Callable[..., Coroutine[Any, Any, _T]], *, seconds: float) -> None:
        self._remembered = alru_cache(ttl=seconds)(read)

    async def __call__(self, *arguments: Any, fresh: bool = False) -> _T:
        """Return the answer.

        Args:
            arguments: Those of the request.
            fresh: Read again.

        """
        if fresh or activity.info().attempt > 1:
            self._remembered.cache_invalidate(*arguments)
        return await self._remembered(*arguments)
