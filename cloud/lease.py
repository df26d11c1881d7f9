"""Whether a piece of work still owns what it works on: a process that was suspended may have lost it meanwhile.

A worker that stands still for longer than its heartbeat timeout counts as dead, and another worker goes on with
its activity. When it wakes up in the middle of its code, its next request would change what is not its to change
any more. So every request that changes something is refused once the lease has run out.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar

import httpx
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_lease: ContextVar[Callable[[], float]] = ContextVar("lease")


class LeaseExpiredError(Exception):
    """The work may be another worker's by now; nothing was sent."""


def hold(deadline: Callable[[], float]) -> None:
    """Hold a lease in the current context, which tasks made from it inherit.

    Args:
        deadline: Returns until when it is held, in seconds of `time.monotonic`; asked at each request.

    """
    _lease.set(deadline)


def require(method: str) -> None:
    """See that a request of this HTTP method may be sent.

    Raises:
        LeaseExpiredError: It changes something, and the lease has run out.

    """
    deadline = _lease.get(None)
    if method not in _SAFE_METHODS and deadline is not None and time.monotonic() > deadline():
        raise LeaseExpiredError("the worker stood still for too long; another one may have taken the work over")


class LeasePolicy(SansIOHTTPPolicy[HttpRequest, object]):
    """Looks at the lease before each request of an Azure client."""

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        """Look at the lease."""
        require(request.http_request.method)


async def before_request(request: httpx.Request) -> None:
    """Look at the lease before a request of the Graph client; an event hook of httpx."""
    require(request.method)
