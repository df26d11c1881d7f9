"""The simulated cloud's time: timestamps are real, every delay is divided by one speed factor."""

import asyncio
import math
from datetime import UTC, datetime


class Clock:
    """Where the simulator takes its time from.

    Args:
        speed: How many times faster than the real services every delay passes; `math.inf` is no delay.

    """

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"speed: {speed} is not a positive number")
        self.speed = speed

    def now(self) -> datetime:
        """Return the present moment, UTC. Not scaled: clients compare it with their own clock."""
        return datetime.now(UTC)

    def timestamp(self) -> str:
        """Return the present moment as the services write it, such as `2026-11-25T06:48:33.123456Z`."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def real_seconds(self, seconds: float) -> float:
        """Return how many real seconds a delay of `seconds` in the real service takes here."""
        return 0.0 if math.isinf(self.speed) else seconds / self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait as long as `seconds` in the real service take here."""
        await asyncio.sleep(self.real_seconds(seconds))

    def retry_after(self, seconds: float) -> dict[str, str]:
        """Return the header that asks a client to come back after `seconds` of the real service.

        Clients read whole seconds from `Retry-After` and prefer it, so a shorter time goes alone in
        `retry-after-ms`, which azure-core and the JavaScript SDKs read too.
        """
        real = self.real_seconds(seconds)
        if real >= 1:
            return {"Retry-After": str(math.ceil(real))}
        return {"retry-after-ms": str(max(1, math.ceil(real * 1000)))}
