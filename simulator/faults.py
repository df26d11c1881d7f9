"""What can go wrong in the simulated cloud, and the rule that makes it, for a request and a time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, get_args


class FaultKind(StrEnum):
    """What can go wrong.

    Of requests: an error status, a broken connection, an answer that is late or cut in half. Of long-running
    operations: they fail, are cancelled, or their record is gone. Of what lies behind: views that are behind the
    truth, agents that are silent, extensions that lie.

    A product that does all it can still may not come through `OPERATION_FAILED_FOR_GOOD`, `CAPACITY` and `QUOTA`
    (where it has nothing else to try), and `NAMESAKE`: that device stays, its name is taken for good, and the Cloud
    PC ends failed with `HostnameDuplicate` until it is provisioned again under another name. All else passes.
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


Moment = Literal["before", "after", "operation"]
How = Literal["answer", "reset", "half", "late", "canceled", "gone"]

_MOMENTS: Mapping[How, Sequence[Moment]] = {
    "answer": get_args(Moment),
    "reset": ("before", "after"),
    "half": ("after",),
    "late": ("after",),
    "canceled": ("operation",),
    "gone": ("operation",),
}


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
        content: Body of the failing answer where it is not the error object: JSON, or plain text.
        seconds: Real seconds that a late answer waits.

    Raises:
        ValueError: `path` is no regular expression, or `when` or `how` is unknown, or they do not go together.

    """

    method: str
    path: str
    code: str = "InternalServerError"
    message: str = "A fault rule of the simulator."
    status: int = 500
    when: Moment = "before"
    how: How = "answer"
    skip: int = 0
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict[str, str])
    content: dict[str, Any] | str | None = None
    seconds: float = 5.0

    def __post_init__(self) -> None:
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path: {self.path!r} is no regular expression: {error}") from error
        for name, kinds in (("when", Moment), ("how", How)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name}: {getattr(self, name)!r} is none of {', '.join(get_args(kinds))}")
        if self.when not in _MOMENTS[self.how]:
            raise ValueError(f"when: {self.how!r} goes with {' or '.join(_MOMENTS[self.how])}, not {self.when!r}")

    def body(self) -> dict[str, Any] | str:
        """Return the body of the failing answer: the error object, as ARM, Graph and Key Vault wrap it, or another."""
        return {"error": {"code": self.code, "message": self.message}} if self.content is None else self.content
