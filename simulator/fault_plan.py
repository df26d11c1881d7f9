"""A seeded plan of what goes wrong in real clouds: the same requests of a seed always meet the same faults."""

import asyncio
import contextlib
import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from simulator.clock import Clock
from simulator.fault_rules import Request, request_rules, throttling
from simulator.faults import Fault, FaultKind, Moment
from simulator.ledger import ENTRY

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
    FaultKind.OPERATION_FAILED_FOR_GOOD: 0.03,
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

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RANDOM_TAIL = re.compile(r"-[A-Z0-9]{5,}(?!-[A-Z0-9]{5,})(?![A-Za-z0-9])")
"""What tells a computer's name from that which its owner's Cloud PC has in another run."""

_nth: ContextVar[int] = ContextVar("nth_time_of_its_operation", default=0)


class FaultPlan:
    """Decides for each request and event whether something goes wrong.

    Whether a kind strikes follows from the seed, the kind, the request without what differs from run to run, and how
    many times the same was requested: other requests in between have no say. Only who is caught in a throttle storm
    depends on who comes then.

    Args:
        seed: Everything is derived from it.
        clock: Scales what services ask for in `Retry-After`.
        late_seconds: Real seconds after which a late answer comes: more than the client waits.
        rates: Rates other than `RATES`, from 0 to 1, by kind.

    Attributes:
        fired: How often each kind struck; a storm counts once.

    Raises:
        ValueError: A rate is not of a kind, or not from 0 to 1.

    """

    def __init__(
        self, seed: int, clock: Clock, *, late_seconds: float = 5.0, rates: Mapping[str, float] | None = None
    ) -> None:
        self.fired: Counter[FaultKind] = Counter()
        self._seed = seed
        self._rates = {**RATES, **_checked(rates or {})}
        self._over = asyncio.Event()
        self._times: Counter[str] = Counter()
        self._storms: Counter[str] = Counter()
        self._rules = request_rules(clock, late_seconds)
        self._throttled = throttling(clock)

    def stop(self) -> None:
        """End the faults: nothing strikes any more, and what is held comes to its end."""
        self._over.set()

    async def until_stopped(self, at_most: float = math.inf) -> None:
        """Wait until the faults end, or for so many real seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), None if math.isinf(at_most) else at_most)

    def strike(self, method: str, path: str, moment: Moment) -> Fault | None:
        """Return what happens to a request at a moment, or None.

        A request is counted `before` it takes effect; the later moments belong to the same request, as long as they
        are asked for in the same context.
        """
        request = Request.to(method, path)
        if self._over.is_set() or request is None:
            return None
        shape = f"{method} {_shape(path)}"
        if moment == "before":
            self._times[shape] += 1
            _nth.set(self._times[shape])
        event = f"{shape}/{_nth.get()}"
        if moment == "before" and self._storms[request.service] > 0:
            self._storms[request.service] -= 1
            _note(FaultKind.THROTTLE_STORM)
            return self._throttled(request, self._chance(FaultKind.THROTTLE_STORM, event))
        for rule in self._rules:
            if rule.moment != moment or not rule.applies(request):
                continue
            if chance := self._falls(rule.kind, event):
                if rule.kind == FaultKind.THROTTLE_STORM:
                    self._storms[request.service] = STORM_REQUESTS - 1
                return rule.make(request, chance)
        return None

    def strikes(self, kind: FaultKind, subject: str) -> bool:
        """Tell whether a kind strikes an event that is no request, such as the join of a machine.

        Args:
            kind: Which kind.
            subject: What it happens to; the n-th time it happens to it counts.

        """
        return self._event(kind, subject) is not None

    def choose(self, kind: FaultKind, subject: str, ways: Sequence[str]) -> str | None:
        """Return in which of several ways a kind strikes an event that is no request, or None."""
        chance = self._event(kind, subject)
        return chance.choice(ways) if chance else None

    def _event(self, kind: FaultKind, subject: str) -> random.Random | None:
        if self._over.is_set():
            return None
        shape = f"{kind} {_shape(subject)}"
        self._times[shape] += 1
        return self._falls(kind, f"{shape}/{self._times[shape]}")

    def _falls(self, kind: FaultKind, event: str) -> random.Random | None:
        """Return the generator with which an event was found to be struck, or None."""
        chance = self._chance(kind, event)
        if chance.random() >= self._rates[kind]:
            return None
        self.fired[kind] += 1
        _note(kind)
        return chance

    def _chance(self, kind: FaultKind, event: str) -> random.Random:
        # A generator of its own for each event: no other event's order has a say.
        return random.Random(f"{self._seed}/{kind}/{event}")  # noqa: S311 - no secret


def _note(kind: FaultKind) -> None:
    if entry := ENTRY.get():
        entry.faults.append(kind)


def _checked(rates: Mapping[str, Any]) -> dict[FaultKind, float]:
    checked: dict[FaultKind, float] = {}
    for name, rate in rates.items():
        if name not in list(FaultKind):
            raise ValueError(f"rates: {name!r} is none of {', '.join(FaultKind)}")
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ValueError(f"rates: {name!r} needs a number from 0 to 1, not {rate!r}")
        checked[FaultKind(name)] = rate
    return checked


def _shape(path: str) -> str:
    """Return a path without what differs from run to run."""
    return _RANDOM_TAIL.sub("-*", _GUID.sub("*", path))
