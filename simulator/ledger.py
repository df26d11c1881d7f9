"""Every mutating request in order, with what came of it: the judge of what happened in the cloud.

Beside it the number of requests of each kind, reads included: what the work costs.
"""

import re
from collections import Counter
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class LedgerEntry:
    """One mutating request.

    Attributes:
        sequence: Position in the ledger, from 1.
        time: When it came in, ISO 8601 UTC.
        method: HTTP method.
        path: Request path without query, as sent.
        status: HTTP status of the answer; 0 while there is none.
        error_code: The answer's `error.code`, or None.
        effect: What the request did: `created`, `updated`, `deleted`, `invoked` or `none`.
        operation: Outcome of the long-running operation it began: `InProgress`, `Succeeded`,
            `Failed`, `Canceled`, or None when it began none.
        end_time: When that operation ended, ISO 8601 UTC, or None.
        overlaps: Sequence of the request whose operation on the same resource was under way when this one began
            its own, or None.
        faults: The kinds of faults of the plan that struck it and what it set going.

    """

    sequence: int
    time: str
    method: str
    path: str
    status: int = 0
    error_code: str | None = None
    effect: str = "none"
    operation: str | None = None
    end_time: str | None = None
    overlaps: int | None = None
    faults: list[str] = field(default_factory=list[str])


PATH = web.RequestKey("path", str)
"""Where a request keeps its path with repeated slashes folded."""
LEDGER_ENTRY = web.RequestKey("ledger_entry", LedgerEntry)
"""Where a mutating request keeps its entry in the ledger."""
ENTRY: ContextVar[LedgerEntry | None] = ContextVar("ledger_entry", default=None)
"""The entry of the mutating request that is being handled, or that set going what is at work."""


@dataclass
class Ledger:
    """The ordered record of mutating requests, and how many requests of each kind there were.

    Attributes:
        entries: Every mutating request.
        requests: How often each `kind` of request came in.

    """

    entries: list[LedgerEntry] = field(default_factory=list[LedgerEntry])
    requests: Counter[str] = field(default_factory=Counter[str])

    def open(self, time: str, method: str, path: str) -> LedgerEntry:
        """Add an entry for a request that has just come in and return it to be filled in."""
        entry = LedgerEntry(len(self.entries) + 1, time, method, path)
        self.entries.append(entry)
        return entry

    def as_json(self) -> list[dict[str, Any]]:
        """Return all entries as plain objects, oldest first."""
        return [asdict(entry) for entry in self.entries]


_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PROVIDER = re.compile(r".*/providers/(?P<namespace>[^/]+)(?P<rest>/.*)?", re.IGNORECASE)


def kind(method: str, path: str) -> str:
    """Return what a request does without to what, such as `PUT Microsoft.Compute/virtualMachines/{name}`."""
    if found := _PROVIDER.fullmatch(path):
        segments = (found["rest"] or "").split("/")[1:]
        named = ["{name}" if position % 2 else segment for position, segment in enumerate(segments)]
        return "/".join([f"{method} {found['namespace']}", *named])
    return f"{method} {_GUID.sub('{id}', path)}"
