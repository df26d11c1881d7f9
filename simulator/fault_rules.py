"""What happens to the requests that a fault plan strikes, each service's failures in its own words."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simulator.arm.errors import ArmError
from simulator.arm.throttling import too_many_compute_requests, too_many_requests
from simulator.clock import Clock
from simulator.faults import Fault, FaultKind, How, Moment
from simulator.services import Service, service_of

RETRY_AFTER_SECONDS = 10
"""How long a service that has too much to do wants to be left alone."""

_EXTENSION = r"/virtualMachines/[^/]+/extensions/"
_RUN_COMMAND = r"/virtualMachines/[^/]+/runCommands?(/|$)"
_MACHINE = r"/virtualMachines/[^/]+$"
_NETWORK = r"/providers/Microsoft\.Network/"
_COMPUTE = r"/providers/Microsoft\.Compute/"
_DEVICES = r"^/(v1\.0|beta)/devices"

IN_GUEST = re.compile(f"{_EXTENSION}|{_RUN_COMMAND}", re.IGNORECASE)
"""The paths of what the guest agent has to carry out."""

_PASSING_FAILURES: Mapping[str, Sequence[str]] = {
    _EXTENSION: (
        "VMAgentStatusCommunicationError",
        "VMArtifactRepositoryInternalError",
        "VMExtensionManagementInternalError",
        "VMExtensionProvisioningTimeout",
    ),
    _RUN_COMMAND: ("VMAgentStatusCommunicationError", "VMExtensionProvisioningTimeout"),
    _MACHINE: ("InternalOperationError", "OSProvisioningInternalError", "OSProvisioningTimedOut", "VMStartTimedOut"),
    _NETWORK: ("InternalServerError", "NetworkingInternalOperationError"),
    "": ("InternalOperationError", "InternalServerError"),
}
"""How operations on a resource fail that succeed when they are begun again.

Source: https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/error-messages
"""

_CONFLICTS: Mapping[str, Sequence[tuple[int, str, str]]] = {
    _NETWORK: (
        (409, "AnotherOperationInProgress", "Another operation on this or a dependent resource is in progress."),
        (429, "RetryableErrorDueToAnotherOperation", "The operation is blocked by another operation."),
    ),
    _COMPUTE: (
        (409, "AnotherOperationInProgress", "Another operation on this or a dependent resource is in progress."),
        (409, "Conflict", "The request failed due to conflict with a concurrent request."),
        (409, "OperationNotAllowed", "The operation is not allowed since another operation is in progress."),
    ),
    _DEVICES: (
        (
            409,
            "Directory_ConcurrencyViolation",
            "Error due to concurrent requests being made to the tenant. Please wait briefly and retry.",
        ),
    ),
    "": ((409, "Conflict", "The request failed due to conflict with a concurrent request."),),
}
"""With what a change is refused while something else is being changed: status, code and message.

Sources: https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling and
https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
"""


@dataclass(frozen=True)
class Request:
    """A request to one of the services.

    Attributes:
        service: The service that it is for.
        method: HTTP method.
        path: Path without query.

    """

    service: Service
    method: str
    path: str

    @classmethod
    def to(cls, method: str, path: str) -> "Request | None":
        """Return the request, or None when it is for no service that exists in a real cloud."""
        service = service_of(path)
        return None if service in (None, "control") else cls(service, method, path)

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.method in ("PUT", "POST", "PATCH", "DELETE")

    def has(self, pattern: str) -> bool:
        """Tell whether its path has a part that matches, ignoring case."""
        return re.search(pattern, self.path, re.IGNORECASE) is not None


Make = Callable[[Request, random.Random], Fault]


@dataclass(frozen=True)
class Rule:
    """How one kind strikes at a moment: which requests, and what happens to them."""

    kind: FaultKind
    moment: Moment
    applies: Callable[[Request], bool]
    make: Make


def request_rules(clock: Clock, late_seconds: float) -> list[Rule]:
    """Return the rules in the order in which they are tried.

    Args:
        clock: Scales what services ask for in `Retry-After`.
        late_seconds: Real seconds that a late answer waits.

    """

    def everywhere(_request: Request) -> bool:
        return True

    def behind_a_token(request: Request) -> bool:
        return request.service != "token"

    def is_arm_write(request: Request) -> bool:
        return request.service == "arm" and request.is_write

    def broken(how: How, when: Moment) -> Make:
        return lambda _request, _chance: Fault("", "", when=when, how=how, seconds=late_seconds)

    throttled, kind = throttling(clock), FaultKind
    return [
        Rule(kind.THROTTLED, "before", everywhere, throttled),
        Rule(kind.THROTTLE_STORM, "before", lambda request: request.service in ("arm", "graph"), throttled),
        Rule(kind.HTTP_408, "before", behind_a_token, _fails(408, "RequestTimeout")),
        Rule(kind.HTTP_500, "before", everywhere, _fails(500, "InternalServerError")),
        Rule(kind.HTTP_502, "before", everywhere, _fails(502, "BadGateway")),
        Rule(kind.HTTP_503, "before", everywhere, _fails(503, "ServiceUnavailable")),
        Rule(kind.HTTP_504, "before", everywhere, _fails(504, "GatewayTimeout")),
        Rule(kind.RESET_BEFORE, "before", everywhere, broken("reset", "before")),
        Rule(kind.CONFLICT, "before", lambda r: is_arm_write(r) or (r.is_write and r.has(_DEVICES)), _conflict),
        Rule(kind.PRINCIPAL_NOT_FOUND, "before", _puts(r"/roleAssignments/[^/]+$"), _fails(400, "PrincipalNotFound")),
        Rule(kind.RESET_AFTER, "after", everywhere, broken("reset", "after")),
        Rule(kind.HALF_ANSWER, "after", behind_a_token, broken("half", "after")),
        Rule(kind.LATE_ANSWER, "after", behind_a_token, broken("late", "after")),
        Rule(kind.CAPACITY, "operation", _puts(_MACHINE), _operation_fails("AllocationFailed")),
        Rule(kind.OPERATION_FAILED, "operation", is_arm_write, _passing_failure),
        Rule(
            kind.OPERATION_FAILED_FOR_GOOD, "operation", _puts(_MACHINE), _operation_fails("OSProvisioningClientError")
        ),
        Rule(kind.OPERATION_CANCELED, "operation", is_arm_write, broken("canceled", "operation")),
        Rule(kind.OPERATION_GONE, "operation", is_arm_write, broken("gone", "operation")),
    ]


def throttling(clock: Clock) -> Make:
    """Return what makes the 429 of each service.

    Args:
        clock: Scales what they ask for in `Retry-After`.

    """

    def make(request: Request, chance: random.Random) -> Fault:
        wait = clock.retry_after(RETRY_AFTER_SECONDS)
        match request.service:
            case "arm":
                error = _arm_throttled(request, wait)
                return Fault("", "", error.code, error.message, 429, headers=error.headers, content=error.body())
            case "graph":
                # Not every resource says when to come back: https://learn.microsoft.com/graph/throttling-limits
                code, headers = chance.choice((("TooManyRequests", wait), ("activityLimitReached", dict[str, str]())))
                return Fault("", "", code, "Too many requests.", 429, headers=headers)
            case "key vault":
                # https://github.com/vcsjones/AzureSignTool/issues/219
                message = "Request was not processed because too many requests were received. Reason: "
                return Fault("", "", "Throttled", f"{message}VaultRequestTypeLimitReached", 429)
            case _:
                # https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/issues/2855
                return Fault("", "", status=429, headers=wait, content="Too Many Requests")

    return make


def _arm_throttled(request: Request, wait: dict[str, str]) -> ArmError:
    if request.has("/virtualMachines/"):
        return too_many_compute_requests("UpdateVM" if request.is_write else "LowCostGet", 12, wait)
    return too_many_requests("writes" if request.is_write else "reads", RETRY_AFTER_SECONDS, wait)


def _puts(pattern: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "PUT" and request.has(pattern)


def _fails(status: int, code: str) -> Make:
    fault = Fault("", "", code, f"{code}: the fault plan of the simulator.", status)
    # https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    description = "AADSTS90033: A transient error has occurred. Please try again."
    refusal = {"error": "temporarily_unavailable", "error_description": description, "error_codes": [90033]}
    no_token = Fault("", "", "temporarily_unavailable", status=status, content=refusal)
    return lambda request, _chance: no_token if request.service == "token" else fault


def _conflict(request: Request, chance: random.Random) -> Fault:
    conflicts = next(conflicts for pattern, conflicts in _CONFLICTS.items() if request.has(pattern))
    status, code, message = chance.choice(conflicts)
    return Fault("", "", code, message, status)


def _passing_failure(request: Request, chance: random.Random) -> Fault:
    codes = next(codes for pattern, codes in _PASSING_FAILURES.items() if request.has(pattern))
    return _operation_fails(chance.choice(codes))(request, chance)


def _operation_fails(code: str) -> Make:
    fault = Fault("", "", code, f"{code}: the fault plan of the simulator.", 409, when="operation")
    return lambda _request, _chance: fault
