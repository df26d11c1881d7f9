"""What makes the simulated cloud misbehave: rules, each for a request and a time, or a seeded plan."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from simulator.fault_plan import FaultKind, FaultPlan

Moment = Literal["before", "after", "operation"]
How = Literal["answer", "reset", "half", "late", "canceled", "gone"]


@dataclass
class Fault:
    """One rule over (method, path, n-th time).

    Attributes:
        method: HTTP method, upper case.
        path: Regular expression searched in the request path, ignoring case.
        code: `error.code` of the failure.
        message: `error.message` of the failure.
        status: HTTP status of the failure; not used for `operation`.
        when: `before` the request takes effect; `after` it took effect; or what becomes of the long-running
            `operation` that the request began.
        how: The request gets this `answer`; its connection is `reset`; it gets `half` its answer, or its answer
            too `late`. An operation ends `Failed` with the `answer`, or `Canceled`, or its record is `gone`.
        skip: How many matching requests pass unharmed first.
        times: How many matching requests fail then.
        headers: Headers of the failing answer, such as `Retry-After`.
        seconds: Real seconds that a late answer waits.

    """

    method: str
    path: str
    code: str
    message: str = "A fault rule of the simulator."
    status: int = 500
    when: Moment = "before"
    how: How = "answer"
    skip: int = 0
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 5.0

    def __post_init__(self) -> None:
        re.compile(self.path)
        for name, kinds in (("when", Moment), ("how", How)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name}: {getattr(self, name)!r} is none of {', '.join(get_args(kinds))}")

    def body(self) -> dict[str, Any]:
        """Return the error object, as both Azure Resource Manager and Graph wrap it."""
        return {"error": {"code": self.code, "message": self.message}}


@dataclass
class Faults:
    """The rules in force, and the plan. A rule that has fired `times` times is spent and stays in the list."""

    rules: list[Fault] = field(default_factory=list[Fault])
    plan: "FaultPlan | None" = None

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

    def strikes(self, kind: "FaultKind", subject: str) -> bool:
        """Tell whether the plan strikes an event that is no request."""
        return self.plan is not None and self.plan.strikes(kind, subject)

    async def until_stopped(self) -> None:
        """Wait until the plan's faults end."""
        if self.plan:
            await self.plan.until_stopped()
