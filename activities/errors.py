"""The one place where an Azure or Graph failure becomes transient or terminal.

Every activity runs inside `ActivityBoundary`: what it lets out is an `ApplicationError` whose type is
the ARM or Graph code, with a bounded message, the attempts, the correlation id and a remedy.
Sources: https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/error-messages,
https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors,
https://learn.microsoft.com/graph/errors
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ODataV4Format,
    ServiceRequestError,
    ServiceResponseError,
)
from kiota_abstractions.api_error import APIError
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.signatures import FailureDetails, StepResult

MAX_MESSAGE = 1000
"""Longest message that an error carries into a history, characters."""

_GRANT = "grant the worker's identity the roles of the README, wait some minutes, then reprovision"
_INVALID = "correct what the message names in the policy or service plan, then reprovision"
_QUOTA = "raise the quota of the subscription in this region or choose another plan or region, then reprovision"
_CAPACITY = "choose another region or a plan with other VM sizes, or try later, then reprovision"

_TRANSIENT_STATUSES = frozenset({408, 412, 423, 429, 500, 502, 503, 504})

_TRANSIENT_CODES = frozenset(
    {
        "AnotherOperationInProgress",
        "CanceledAndSupersededDueToAnotherOperation",
        "Conflict",
        "Directory_ConcurrencyViolation",
        "InUseSubnetCannotBeDeleted",
        "InternalOperationError",
        "InternalServerError",
        "NetworkingInternalOperationError",
        "NicInUse",
        "NicReservedForAnotherVm",
        "OSProvisioningInternalError",
        "OSProvisioningTimedOut",
        "PrincipalNotFound",
        "ReferencedResourceNotProvisioned",
        "ResourceUpdateBlockedOnPlatformUpdate",
        "RetryableError",
        "RetryableErrorDueToAnotherOperation",
        "ServerTimeout",
        "VMAgentStatusCommunicationError",
        "VMArtifactRepositoryInternalError",
        "VMExtensionManagementInternalError",
        "VMExtensionProvisioningTimeout",
        "VMStartTimedOut",
    }
)
"""Codes that pass by themselves, whatever the HTTP status."""

_REMEDIES: dict[str, str] = {
    "AllocationFailed": _CAPACITY,
    "AuthorizationFailed": _GRANT,
    "Authorization_RequestDenied": _GRANT,
    "Forbidden": _GRANT,
    "InvalidParameter": _INVALID,
    "LinkedAuthorizationFailed": _GRANT,
    "OverconstrainedAllocationRequest": _CAPACITY,
    "QuotaExceeded": _QUOTA,
    "RequestDisallowedByPolicy": "ask for an exemption from the Azure Policy that the message names, then reprovision",
    "ResourceGroupNotFound": "make the resource group of AZURE_RESOURCE_GROUP, then reprovision",
    "ScopeLocked": "remove the lock that the message names, then reprovision",
    "SkuNotAvailable": _CAPACITY,
    "SubnetIsFull": "free addresses or enlarge the subnet, then reprovision",
    "ZonalAllocationFailed": _CAPACITY,
}
_DEFAULT_REMEDY = "correct what the message names, then reprovision"


def not_yet(message: str, poll_interval: float) -> ApplicationError:
    """Return the error by which an activity asks to be run again, as a look at something slow.

    Args:
        message: What has not happened yet.
        poll_interval: Seconds until the next look.

    """
    return ApplicationError(
        message,
        type="NotYet",
        category=ApplicationErrorCategory.BENIGN,
        next_retry_delay=timedelta(seconds=poll_interval),
    )


def terminal(code: str, message: str, remedy: str) -> ApplicationError:
    """Return the error by which an activity fails for good."""
    return ApplicationError(bounded(message), FailureDetails(remedy=remedy), type=code, non_retryable=True)


def bounded(message: str) -> str:
    """Return the message in one line of at most `MAX_MESSAGE` characters."""
    line = re.sub(r"\s+", " ", message).strip()
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


class ActivityBoundary(Interceptor):
    """Wraps every activity: turns what it raises into an `ApplicationError`, and counts its attempts."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap one activity execution."""
        return _Boundary(next)


class _Boundary(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        attempt = activity.info().attempt
        try:
            result = await super().execute_activity(input)
        except ApplicationError as error:
            raise _with_attempts(error, attempt) from error.__cause__
        except HttpResponseError as error:
            raise _with_attempts(_from_arm(error), attempt) from None
        except APIError as error:
            raise _with_attempts(_from_graph(error), attempt) from None
        except (ServiceRequestError, ServiceResponseError, httpx.TransportError, TimeoutError) as error:
            lost = ApplicationError(bounded(str(error)) or "no answer", type=type(error).__name__)
            raise _with_attempts(lost, attempt) from None
        return result.model_copy(update={"attempts": attempt}) if isinstance(result, StepResult) else result


def _with_attempts(error: ApplicationError, attempt: int) -> ApplicationError:
    told = error.details[0] if error.details else FailureDetails()
    return ApplicationError(
        error.message,
        told.model_copy(update={"attempts": attempt}),
        type=error.type,
        non_retryable=error.non_retryable,
        next_retry_delay=error.next_retry_delay,
        category=error.category,
    )


def _from_arm(error: HttpResponseError) -> ApplicationError:
    response: Any = error.response
    headers: Mapping[str, str] = response.headers if response is not None else {}
    correlation_id = headers.get("x-ms-correlation-request-id")
    if isinstance(error, ClientAuthenticationError) and error.error is None:
        # The text holds the whole answer of the token endpoint.
        match = re.search(r"AADSTS\d+", str(error))
        return _error(
            code=match[0] if match else "AuthenticationFailed",
            message=f"the worker's identity cannot sign in ({match[0] if match else 'see the worker log'})",
            transient=False,
            remedy="correct AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, start the worker again",
        )
    cause = _innermost(error.error)
    code = (cause.code if cause else None) or (f"Http{error.status_code}" if error.status_code else "Unknown")
    message = (cause.message if cause else None) or error.message
    transient = _is_transient(code, message, error.status_code)
    remedy = _QUOTA if code == "OperationNotAllowed" and "quota" in message.lower() else None
    return _error(code, message, transient, remedy, correlation_id, retry_after(headers))


def _innermost(error: ODataV4Format | None) -> ODataV4Format | None:
    """Return the root cause: the innermost of the details, which wrapper codes hide."""
    while error is not None and error.details and error.details[0].message:
        error = error.details[0]
    return error


def _from_graph(error: APIError) -> ApplicationError:
    status = error.response_status_code
    headers: Mapping[str, str] = error.response_headers or {}
    main = error.error if isinstance(error, ODataError) else None
    code = (main.code if main else None) or f"Http{status}"
    message = _unwrapped((main.message if main else None) or str(error))
    inner = main.inner_error if main else None
    correlation_id = inner.request_id if inner else None
    return _error(code, message, _is_transient(code, message, status), None, correlation_id, retry_after(headers))


def _unwrapped(message: str) -> str:
    """Return the text inside a message of Intune, which is JSON in a string."""
    try:
        inner: Any = json.loads(message)
    except ValueError:
        return message
    match inner:
        case {"Message": str(text)}:
            return text
        case _:
            return message


def _is_transient(code: str, message: str, status: int | None) -> bool:
    if code == "OperationNotAllowed":
        # Quota, a busy machine and throttling share this code.
        return status == 429 or "in progress" in message or "too many requests" in message
    return code in _TRANSIENT_CODES or (status in _TRANSIENT_STATUSES and status != 200)


def _error(
    code: str,
    message: str,
    transient: bool,
    remedy: str | None = None,
    correlation_id: str | None = None,
    delay: timedelta | None = None,
) -> ApplicationError:
    details = FailureDetails(remedy=remedy or _REMEDIES.get(code, _DEFAULT_REMEDY), correlation_id=correlation_id)
    return ApplicationError(
        bounded(message), details, type=code, non_retryable=not transient, next_retry_delay=delay if transient else None
    )


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Return how long a service asks to be left alone, or None when it does not say."""
    if milliseconds := headers.get("retry-after-ms") or headers.get("x-ms-retry-after-ms"):
        return timedelta(milliseconds=float(milliseconds)) if milliseconds.isdigit() else None
    value = headers.get("Retry-After") or headers.get("retry-after")
    if not value:
        return None
    if value.isdigit():
        return timedelta(seconds=int(value))
    try:
        return max(timedelta(0), parsedate_to_datetime(value) - datetime.now(UTC))
    except ValueError:
        return None
