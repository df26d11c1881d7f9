"""What an attempt of an activity carries along: its lease, its heart, and the secrets that it has come to know."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

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
    """Return the text without the secrets of this attempt: a service or a guest may have repeated one."""
    for secret in current().secrets:
        text = text.replace(secret, "…")
    return text
