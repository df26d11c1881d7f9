"""How an attempt stays alive in the eyes of the server, and for how long it owns what it works on."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity

from cloud.execution import context


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
    heart = context.Heart(held=details, told=details)
    timeout = (activity.info().heartbeat_timeout or timedelta(seconds=30)).total_seconds()
    last = time.monotonic()
    own = context.current()
    own.heart = heart

    def deadline() -> float:
        return last + timeout * 0.2

    own.deadline = deadline

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
        own.heart = None
