"""Whether an attempt still owns what it works on: a process that was suspended may have lost it.

A worker that stands still for longer than its heartbeat timeout counts as dead, and another worker goes on with
its activity. When it wakes up in the middle of its code, its next request would modify a resource that another worker
now owns. So every request that changes something is refused once the lease has run out.
"""

import time

import httpx
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest

from cloud.execution import context

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class LeaseExpiredError(Exception):
    """The work may be another worker's by now; nothing was sent."""


def require(method: str) -> None:
    """See that a request of this HTTP method may be sent.

    Raises:
        LeaseExpiredError: It changes something, and the lease has run out.

    """
    deadline = context.current().deadline
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
