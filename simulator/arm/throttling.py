"""Who may ask how often: token buckets of Azure Resource Manager and of the compute resource provider.

Sources: learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling,
learn.microsoft.com/azure/virtual-machines/compute-throttling-limits
"""

import json
import math
import time
from collections import defaultdict
from dataclasses import dataclass

from simulator.arm.errors import ArmError, TooManyComputeRequests
from simulator.clock import Clock


@dataclass(frozen=True)
class Policy:
    """A bucket's size in requests and what flows back into it a second of the real service."""

    size: int
    per_second: float


FRONT_DOOR = {
    "reads": Policy(250, 25),
    "writes": Policy(200, 10),
    "deletes": Policy(200, 10),
}
"""Azure Resource Manager's own limits, a subscription and principal."""

PER_MACHINE = {
    "PutVM": Policy(12, 4 / 60),
    "UpdateVM": Policy(12, 4 / 60),
    "DeleteVM": Policy(12, 4 / 60),
    "LowCostGet": Policy(36, 12 / 60),
    "GetOperation": Policy(45, 15 / 60),
}
"""The compute resource provider's limits for one virtual machine."""

PER_SUBSCRIPTION = {
    "PutVM": Policy(1_500, 500 / 60),
    "UpdateVM": Policy(1_500, 500 / 60),
    "DeleteVM": Policy(1_500, 500 / 60),
    "LowCostGet": Policy(24_000, 8_000 / 60),
    "HighCostGet": Policy(900, 300 / 60),
    "GetOperation": Policy(15_000, 5_000 / 60),
}
"""The compute resource provider's limits for a subscription; the real ones are one set a region."""


class TokenBucket:
    """One bucket, full at first."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._tokens = float(policy.size)
        self._filled_at = time.monotonic()

    def take(self) -> float:
        """Take one token; return 0, or after how many seconds of the real service there will be one."""
        if math.isinf(self._clock.speed):
            return 0.0
        now = time.monotonic()
        flowed_back = (now - self._filled_at) * self._clock.speed * self._policy.per_second
        self._tokens = min(self._policy.size, self._tokens + flowed_back)
        self._filled_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._policy.per_second
        self._tokens -= 1
        return 0.0

    @property
    def remaining(self) -> int:
        """How many tokens there were after the last request."""
        return int(self._tokens)


class Throttle:
    """All buckets of the subscription. A simulated cloud without delays has no limits either."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._front_door = {name: TokenBucket(policy, clock) for name, policy in FRONT_DOOR.items()}
        self._machines = {
            name: defaultdict[str, TokenBucket](lambda policy=policy: TokenBucket(policy, clock))
            for name, policy in PER_MACHINE.items()
        }
        self._subscription = {name: TokenBucket(policy, clock) for name, policy in PER_SUBSCRIPTION.items()}

    def enter(self, method: str) -> dict[str, str]:
        """Count a request at the front door and return the header that tells how many are left.

        Raises:
            ArmError: 429 with Retry-After.

        """
        kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method, "writes")
        bucket = self._front_door[kind]
        if seconds := bucket.take():
            raise too_many_requests(kind, seconds, self._clock.retry_after(seconds))
        return {f"x-ms-ratelimit-remaining-subscription-{kind}": str(bucket.remaining)}

    def charge(self, policy: str, machine_id: str = "") -> None:
        """Count a request to the compute resource provider, about one machine or about all.

        Raises:
            TooManyComputeRequests: 429 with Retry-After.

        """
        buckets = [(PER_SUBSCRIPTION, self._subscription[policy])]
        if machine_id:
            buckets.insert(0, (PER_MACHINE, self._machines[policy][machine_id.lower()]))
        for policies, bucket in buckets:
            if seconds := bucket.take():
                raise too_many_compute_requests(policy, policies[policy].size, self._clock.retry_after(seconds))


def too_many_requests(kind: str, seconds: float, retry_after: dict[str, str]) -> ArmError:
    """Return the 429 of the front door.

    Args:
        kind: `reads`, `writes` or `deletes`.
        seconds: After how many seconds there is room again.
        retry_after: The header that says so.

    """
    return ArmError(
        429,
        "SubscriptionRequestsThrottled",
        f"Number of '{kind}' requests for the subscription exceeded the limit. Please try again after "
        f"'{math.ceil(seconds)}' seconds.",
        headers=retry_after,
    )


def too_many_compute_requests(policy: str, allowed: int, retry_after: dict[str, str]) -> TooManyComputeRequests:
    """Return the 429 of the compute resource provider.

    Args:
        policy: The policy that was exceeded, such as `LowCostGet`.
        allowed: How many requests it allows.
        retry_after: The header that says when to come back.

    """
    message = {"operationGroup": policy, "allowedRequestCount": allowed, "measuredRequestCount": allowed + 1}
    return TooManyComputeRequests(
        429,
        "OperationNotAllowed",
        "The server rejected the request because too many requests have been received for this subscription.",
        details=[{"code": "TooManyRequests", "target": policy, "message": json.dumps(message)}],
        headers={**retry_after, "x-ms-ratelimit-remaining-resource": f"Microsoft.Compute/{policy};0"},
    )
