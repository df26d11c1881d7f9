"""What an attempt of an activity carries along: its lease, its heart, and the secrets that it has come to know."""

import html
import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from temporalio import activity


@dataclass
class Heart:
    """What an attempt heartbeats.

    Attributes:
        held: The details to go with each heartbeat.
        told: Those that went with the last one.

    """

    held: tuple[str, ...]
    told: tuple[str, ...]

    def beat(self) -> None:
        """Heartbeat."""
        self.told = self.held
        activity.heartbeat(*self.held)


@dataclass
class ActivityContext:
    """One attempt; tasks made from it share it.

    Attributes:
        deadline: Returns until when the attempt owns what it works on, in seconds of `time.monotonic`; None: for ever.
        heart: Of an attempt that heartbeats.
        secrets: What must stay out of every text that leaves the attempt.

    """

    deadline: Callable[[], float] | None = None
    heart: Heart | None = None
    secrets: list[str] = field(default_factory=list[str])


_current: ContextVar[ActivityContext | None] = ContextVar("activity_context", default=None)


@contextmanager
def begin() -> Generator[ActivityContext]:
    """Begin an attempt: in the body, and in the tasks made there, it is the current one."""
    token = _current.set(ActivityContext())
    try:
        yield current()
    finally:
        _current.reset(token)


def current() -> ActivityContext:
    """Return the current attempt; outside of one, an attempt that owns everything and knows nothing."""
    return _current.get() or ActivityContext()


def confide(secret: str) -> str:
    """Return the secret, which `hidden` keeps out of texts as long as this attempt lasts."""
    current().secrets.append(secret)
    return secret


def hidden(text: str) -> str:
    """Return the text without the secrets of this attempt, which a service or a guest may have repeated or escaped."""
    spellings = {spelling for secret in current().secrets for spelling in _spellings(secret)}
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, "…")
    return text


def _spellings(secret: str) -> set[str]:
    """Return a secret as it is written in plain text, JSON, XML, a URL, and PowerShell's quotes."""
    spellings = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        html.escape(secret, quote=False),
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        secret.replace("'", "''"),
        secret.replace('"', '""'),
        secret.replace('"', '`"'),
    }
    return {spelling for spelling in spellings if spelling.strip()}
