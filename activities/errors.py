"""The one place where an Azure or Graph failure becomes transient or terminal.

`application_error` makes an `ApplicationError` whose type is the ARM or Graph code, with a bounded
message, the attempts, the correlation id and a remedy; `activities.boundary` puts every activity in it.
Sources: https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/error-messages,
https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors,
https://learn.microsoft.com/graph/errors
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx
from azure.core.exceptions import (
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ODataV4Format,
    ServiceRequestError,
    ServiceResponseError,
)
from kiota_abstractions.api_error import APIError
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.signatures import FailureDetails

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
        "GatewayTimeout",
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
        "VMExtensionProvisioningError",
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


def not_yet(message: str, poll_interval: float, remedy: str | None = None) -> ApplicationError:
    """Return the error by which an activity asks to be run again, as a look at something slow.

    Args:
        message: What has not happened yet.
        poll_interval: Seconds until the next look.
        remedy: What the admin can do when it never happens.

    """
    return ApplicationError(
        message,
        FailureDetails(remedy=remedy) if remedy else FailureDetails(),
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


def application_error(error: Exception, attempt: int) -> ApplicationError | None:
    """Return what an activity fails with in place of a failure of Azure, Graph or the network.

    Args:
        error: What the activity raised.
        attempt: Number of the attempt, from 1; told in the error.

    Returns:
        The error, or None for a failure that is none of theirs: a defect of ours.

    """
    match error:
        case ApplicationError():
            judged = error
        case DecodeError() | ServiceRequestError() | ServiceResponseError() | httpx.TransportError() | TimeoutError():
            judged = ApplicationError(bounded(str(error)) or "no answer", type=type(error).__name__)
        case HttpResponseError():
            judged = _from_arm(error, attempt)
        case APIError():
            judged = _from_graph(error, attempt)
        case _:
            return None
    told = judged.details[0] if judged.details else FailureDetails()
    return ApplicationError(
        judged.message,
        told.model_copy(update={"attempts": attempt}),
        type=judged.type,
        non_retryable=judged.non_retryable,
        next_retry_delay=judged.next_retry_delay,
        category=judged.category,
    )


def _from_arm(error: HttpResponseError, attempt: int) -> ApplicationError:
    response: Any = error.response
    headers: Mapping[str, str] = response.headers if response is not None else {}
    correlation_id = headers.get("x-ms-correlation-request-id")
    cause = _innermost(error.error)
    if isinstance(error, ClientAuthenticationError) and cause is None:
        # The text holds the whole answer of the token endpoint.
        match = re.search(r"AADSTS\d+", str(error))
        code = match[0] if match else "AuthenticationFailed"
        return _error(
            code=code,
            message=f"the worker's identity cannot sign in ({code})",
            transient=error.status_code in _TRANSIENT_STATUSES,
            remedy="correct AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, start the worker again",
            delay=retry_after(headers),
        )
    code = (cause.code if cause else None) or (f"Http{error.status_code}" if error.status_code else "Unknown")
    message = (cause.message if cause else None) or error.message
    # An answer that was cut off has no code, and no status of an error.
    transient = _is_transient(code, message, error.status_code, attempt) or code in ("Unknown", "Http200")
    return _error(code, message, transient, _remedy(code, message), correlation_id, retry_after(headers))


def _remedy(code: str, message: str) -> str | None:
    if code == "OperationNotAllowed" and "quota" in message.lower():
        return _QUOTA
    if code == "OperationNotAllowed" and "smaller than the size" in message:
        return "choose a plan with a larger disk, or an image of the offer windows-ent-cpc, then reprovision"
    return None


def _innermost(error: ODataV4Format | None) -> ODataV4Format | None:
    """Return the root cause: the innermost of the details, which wrapper codes hide."""
    while error is not None and error.details and error.details[0].message:
        error = error.details[0]
    return error


def _from_graph(error: APIError, attempt: int) -> ApplicationError:
    status = error.response_status_code
    headers: Mapping[str, str] = error.response_headers or {}
    main = error.error if isinstance(error, ODataError) else None
    code = (main.code if main else None) or f"Http{status}"
    message = _unwrapped((main.message if main else None) or str(error))
    inner = main.inner_error if main else None
    correlation_id = inner.request_id if inner else None
    transient = _is_transient(code, message, status, attempt)
    return _error(code, message, transient, None, correlation_id, retry_after(headers))


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


def _is_transient(code: str, message: str, status: int | None, attempt: int) -> bool:
    if code == "OperationNotAllowed":
        # Quota, a busy machine and throttling share this code.
        return status == HTTPStatus.TOO_MANY_REQUESTS or "in progress" in message or "too many requests" in message
    if status == HTTPStatus.UNAUTHORIZED:
        # The token may have been revoked; the next attempt gets a new one.
        return attempt == 1
    return code in _TRANSIENT_CODES or status in _TRANSIENT_STATUSES


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
