"""A seeded plan of what goes wrong in real clouds: the same requests of a seed always meet the same faults."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from simulator.clock import Clock
from simulator.faults import Fault, How, Moment


class FaultKind(StrEnum):
    """What can go wrong.

    Of requests: an error status, a broken connection, an answer that is late or cut in half. Of long-running
    operations: they fail, are cancelled, or their record is gone. Of what lies behind: views that are behind the
    truth, agents that are silent, extensions that lie.
    """

    THROTTLED = "throttled"
    THROTTLE_STORM = "throttle storm"
    HTTP_408 = "408"
    HTTP_500 = "500"
    HTTP_502 = "502"
    HTTP_503 = "503"
    HTTP_504 = "504"
    RESET_BEFORE = "reset before the change"
    RESET_AFTER = "reset after the change"
    LATE_ANSWER = "late answer"
    HALF_ANSWER = "half an answer"
    EXPIRED_TOKEN = "expired token"  # noqa: S105 - the name of a fault
    CONFLICT = "conflict"
    OPERATION_FAILED = "operation failed, and may succeed again"
    OPERATION_FAILED_FOR_GOOD = "operation failed for good"
    OPERATION_CANCELED = "operation canceled"
    OPERATION_GONE = "operation gone"
    PRINCIPAL_NOT_FOUND = "principal not found"
    STALE_CREATED = "created device not visible"
    STALE_DELETED = "deleted device still visible"
    CAPACITY = "no capacity"
    QUOTA = "no quota"
    AGENT_SILENT = "guest agent silent"
    SCRIPT_FAILS = "script failed"
    JOIN_LIES = "join reported, not made"
    SESSION_HOST_UNAVAILABLE = "session host unavailable"
    NAMESAKE = "namesake"


FOREIGN_GROUP = "rg-elsewhere"
"""Resource group, of no subscription that is served, of the machine whose device is the namesake."""

RATES: Mapping[FaultKind, float] = {
    FaultKind.THROTTLED: 0.006,
    FaultKind.THROTTLE_STORM: 0.001,
    FaultKind.HTTP_408: 0.004,
    FaultKind.HTTP_500: 0.006,
    FaultKind.HTTP_502: 0.004,
    FaultKind.HTTP_503: 0.006,
    FaultKind.HTTP_504: 0.004,
    FaultKind.RESET_BEFORE: 0.008,
    FaultKind.RESET_AFTER: 0.012,
    FaultKind.LATE_ANSWER: 0.002,
    FaultKind.HALF_ANSWER: 0.006,
    FaultKind.EXPIRED_TOKEN: 0.004,
    FaultKind.CONFLICT: 0.02,
    FaultKind.OPERATION_FAILED: 0.02,
    FaultKind.OPERATION_FAILED_FOR_GOOD: 0.004,
    FaultKind.OPERATION_CANCELED: 0.015,
    FaultKind.OPERATION_GONE: 0.03,
    FaultKind.PRINCIPAL_NOT_FOUND: 0.1,
    FaultKind.STALE_CREATED: 0.1,
    FaultKind.STALE_DELETED: 0.15,
    FaultKind.CAPACITY: 0.06,
    FaultKind.QUOTA: 0.03,
    FaultKind.AGENT_SILENT: 0.01,
    FaultKind.SCRIPT_FAILS: 0.02,
    FaultKind.JOIN_LIES: 0.08,
    FaultKind.SESSION_HOST_UNAVAILABLE: 0.1,
    FaultKind.NAMESAKE: 0.04,
}
"""How often each strikes of the requests or events that it applies to."""

STORM_REQUESTS = 20
"""How many requests a throttle storm refuses."""

_WRITES = frozenset({"PUT", "POST", "PATCH", "DELETE"})
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RANDOM_TAIL = re.compile(r"(CPC-[A-Z0-9]+)-[A-Z0-9]{5,}", re.IGNORECASE)


@dataclass(frozen=True)
class _Rule:
    kind: FaultKind
    moment: Moment
    applies: Callable[[str, str, str], bool]
    """Called with service, method and path."""
    fault: Callable[[str], Fault]
    """Makes the fault for a service."""


class FaultPlan:
    """Decides for each request and event whether something goes wrong.

    Args:
        seed: Everything is derived from it.
        clock: Scales what services ask for in `Retry-After`.
        late_seconds: Real seconds after which a late answer comes: more than the client waits.
        rates: Rates other than `RATES`.

    Attributes:
        fired: How often each kind struck.

    """

    def __init__(
        self, seed: int, clock: Clock, *, late_seconds: float = 5.0, rates: Mapping[FaultKind, float] | None = None
    ) -> None:
        self.fired: Counter[FaultKind] = Counter()
        self._seed = seed
        self._rates = {**RATES, **(rates or {})}
        self._over = asyncio.Event()
        self._times: Counter[str] = Counter()
        self._storms: Counter[str] = Counter()
        self._rules = _request_rules(clock, late_seconds)

    def stop(self) -> None:
        """End the faults: nothing strikes any more, and what is held comes to its end."""
        self._over.set()

    async def until_stopped(self) -> None:
        """Wait until the faults end."""
        await self._over.wait()

    def strike(self, method: str, path: str, moment: Moment) -> Fault | None:
        """Return what happens to a request at a moment, or None."""
        service = _service(path)
        if self._over.is_set() or service is None:
            return None
        shape = f"{method} {_shape(path)}"
        if moment == "before":
            self._times[shape] += 1
            if self._storms[service] > 0:
                self._storms[service] -= 1
                return next(rule for rule in self._rules if rule.kind == FaultKind.THROTTLED).fault(service)
        for rule in self._rules:
            if (
                rule.moment == moment
                and rule.applies(service, method, path)
                and self._falls(rule.kind, f"{shape}/{self._times[shape]}")
            ):
                if rule.kind == FaultKind.THROTTLE_STORM:
                    self._storms[service] = STORM_REQUESTS
                return rule.fault(service)
        return None

    def strikes(self, kind: FaultKind, subject: str) -> bool:
        """Tell whether a kind strikes an event that is no request, such as the join of a machine.

        Args:
            kind: Which kind.
            subject: What it happens to; the n-th time it happens to it counts.

        """
        if self._over.is_set():
            return False
        shape = f"{kind} {_shape(subject)}"
        self._times[shape] += 1
        return self._falls(kind, f"{shape}/{self._times[shape]}")

    def _falls(self, kind: FaultKind, event: str) -> bool:
        # A generator of its own for each event: no other event's order has a say.
        falls = random.Random(f"{self._seed}/{kind}/{event}").random() < self._rates[kind]  # noqa: S311 - no secret
        self.fired[kind] += falls
        return falls


def _shape(path: str) -> str:
    """Return a path without what differs from run to run."""
    return _RANDOM_TAIL.sub(r"\1-*", _GUID.sub("*", path))


def _service(path: str) -> str | None:
    lower = path.lower()
    if lower.startswith(("/subscriptions", "/providers")):
        return "arm"
    if lower.startswith(("/v1.0", "/beta")):
        return "graph"
    if lower.startswith("/secrets"):
        return "key vault"
    return "token" if "/oauth2/" in lower else None


def _request_rules(clock: Clock, late_seconds: float) -> list[_Rule]:
    def everywhere(service: str, _method: str, _path: str) -> bool:
        return True

    def behind_a_token(service: str, _method: str, _path: str) -> bool:
        return service != "token"

    def is_arm_write(service: str, method: str, _path: str) -> bool:
        return service == "arm" and method in _WRITES

    def on(method: str, pattern: str) -> Callable[[str, str, str], bool]:
        return lambda _service, wanted, path: wanted == method and re.search(pattern, path, re.IGNORECASE) is not None

    def answer(status: int, code: str, message: str = "", **more: str) -> Callable[[str], Fault]:
        text = message or f"{code}: the fault plan of the simulator."
        return lambda _service: Fault("", "", code, text, status, headers=dict(more))

    def throttled(service: str) -> Fault:
        code = "activityLimitReached" if service == "graph" else "TooManyRequests"
        return Fault("", "", code, "Too many requests.", 429, headers=clock.retry_after(10))

    def expired(service: str) -> Fault:
        code = "ExpiredAuthenticationToken" if service == "arm" else "InvalidAuthenticationToken"
        return Fault("", "", code, "Lifetime validation failed, the token is expired.", 401)

    def broken(how: How) -> Callable[[str], Fault]:
        return lambda _service: Fault("", "", how, how=how, seconds=late_seconds)

    machine, kind = r"virtualMachines/[^/]+$", FaultKind
    return [
        _Rule(kind.THROTTLED, "before", everywhere, throttled),
        _Rule(kind.THROTTLE_STORM, "before", behind_a_token, throttled),
        _Rule(kind.HTTP_408, "before", behind_a_token, answer(408, "RequestTimeout")),
        _Rule(kind.HTTP_500, "before", everywhere, answer(500, "InternalServerError")),
        _Rule(kind.HTTP_502, "before", behind_a_token, answer(502, "BadGateway")),
        _Rule(kind.HTTP_503, "before", everywhere, answer(503, "ServiceUnavailable")),
        _Rule(kind.HTTP_504, "before", behind_a_token, answer(504, "GatewayTimeout")),
        _Rule(kind.RESET_BEFORE, "before", everywhere, broken("reset")),
        _Rule(kind.EXPIRED_TOKEN, "before", behind_a_token, expired),
        _Rule(kind.CONFLICT, "before", is_arm_write, answer(409, "AnotherOperationInProgress")),
        _Rule(
            kind.PRINCIPAL_NOT_FOUND, "before", on("PUT", r"roleAssignments/[^/]+$"), answer(400, "PrincipalNotFound")
        ),
        _Rule(
            kind.QUOTA,
            "before",
            on("PUT", machine),
            answer(409, "OperationNotAllowed", "Operation could not be completed as it results in exceeding quota."),
        ),
        _Rule(kind.RESET_AFTER, "after", everywhere, broken("reset")),
        _Rule(kind.HALF_ANSWER, "after", behind_a_token, broken("half")),
        _Rule(kind.LATE_ANSWER, "after", behind_a_token, broken("late")),
        _Rule(kind.CAPACITY, "operation", on("PUT", machine), answer(409, "AllocationFailed")),
        _Rule(kind.OPERATION_FAILED, "operation", is_arm_write, answer(500, "InternalOperationError")),
        _Rule(
            kind.OPERATION_FAILED_FOR_GOOD, "operation", on("PUT", machine), answer(409, "OSProvisioningClientError")
        ),
        _Rule(kind.OPERATION_CANCELED, "operation", is_arm_write, broken("canceled")),
        _Rule(kind.OPERATION_GONE, "operation", is_arm_write, broken("gone")),
    ]
