"""The rules and the plan that make the simulated cloud misbehave now."""

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulator.fault_plan import FaultPlan
from simulator.faults import Fault, FaultKind, Moment


@dataclass
class Faults:
    """The rules in force, and the plan. A rule that has fired `times` times is spent and stays in the list."""

    rules: list[Fault] = field(default_factory=list[Fault])
    plan: FaultPlan | None = None

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        self.rules.append(fault)

    def take(self, method: str, path: str, when: Moment) -> Fault | None:
        """Return what strikes this request at this moment and count it, or None: the first rule, or else the plan."""
        for rule in self.rules:
            if rule.when != when or rule.method != method or not re.search(rule.path, path, re.IGNORECASE):
                continue
            if rule.skip > 0:
                rule.skip -= 1
            elif rule.times > 0:
                rule.times -= 1
                return rule
        return self.plan.strike(method, path, when) if self.plan else None

    def strikes(self, kind: FaultKind, subject: str) -> bool:
        """Tell whether the plan strikes an event that is no request."""
        return self.plan is not None and self.plan.strikes(kind, subject)

    def choose(self, kind: FaultKind, subject: str, ways: Sequence[str]) -> str | None:
        """Return in which of several ways the plan strikes an event that is no request, or None."""
        return self.plan.choose(kind, subject, ways) if self.plan else None

    async def until_stopped(self, at_most: float = math.inf) -> None:
        """Wait until the plan's faults end, or for so many real seconds."""
        if self.plan:
            await self.plan.until_stopped(at_most)

    async def until_late(self, fault: Fault) -> None:
        """Wait as long as a late answer takes; one of the plan comes when the plan's faults end."""
        if any(fault is rule for rule in self.rules):
            await asyncio.sleep(fault.seconds)
        else:
            await self.until_stopped(fault.seconds)
