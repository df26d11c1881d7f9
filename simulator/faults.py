"""Rules that make the simulated cloud misbehave: which request, which time, and how."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

When = Literal["before", "after", "operation"]


@dataclass
class Fault:
    """One rule over (method, path, n-th time).

    Attributes:
        method: HTTP method, upper case.
        path: Regular expression searched in the request path, ignoring case.
        code: `error.code` of the failure.
        message: `error.message` of the failure.
        status: HTTP status of the failure; not used for `operation`.
        when: `before` the request takes effect; `after` it took effect; or the long-running
            `operation` that the request began ends `Failed`.
        skip: How many matching requests pass unharmed first.
        times: How many matching requests fail then.
        headers: Headers of the failing answer, such as `Retry-After`.

    """

    method: str
    path: str
    code: str
    message: str = "A fault rule of the simulator."
    status: int = 500
    when: When = "before"
    skip: int = 0
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        re.compile(self.path)
        if self.when not in ("before", "after", "operation"):
            raise ValueError(f"when: {self.when!r} is not before, after or operation")

    def body(self) -> dict[str, Any]:
        """Return the error object, as both Azure Resource Manager and Graph wrap it."""
        return {"error": {"code": self.code, "message": self.message}}


@dataclass
class Faults:
    """The rules in force. A rule that has fired `times` times is spent and stays in the list."""

    rules: list[Fault] = field(default_factory=list[Fault])

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        self.rules.append(fault)

    def take(self, method: str, path: str, when: When) -> Fault | None:
        """Return the first rule that strikes this request at this moment and count it, or None."""
        for rule in self.rules:
            if rule.when != when or rule.method != method or not re.search(rule.path, path, re.IGNORECASE):
                continue
            if rule.skip > 0:
                rule.skip -= 1
            elif rule.times > 0:
                rule.times -= 1
                return rule
        return None
