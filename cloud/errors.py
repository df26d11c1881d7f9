"""The one place where an Azure or Graph failure becomes transient or terminal.

`application_error` makes an `ApplicationError` whose type is the ARM or Graph code, with a bounded
message, the attempts, the correlation id and a remedy; `cloud.execution.boundary` puts every activity in it.
What a code means is said by `contract.error_catalogue`.
"""

import json
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
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

from cloud.execution.context import hidden
from cloud.execution.lease import LeaseExpiredError
from contract.error_catalogue import find
from contract.errors import NOT_YET, ErrorClass, FailureDetails
from models.validation import bounded

_PRODUCT = Path(__file__).parent.parent
_OURS = (_PRODUCT / "activities", _PRODUCT / "cloud")
"""The folders of the code that reads answers."""
_MAX_CODE = 100
"""Longest code of a service, characters: it becomes the type of an error."""
MAX_RETRY_AFTER = timedelta(hours=1)
"""Longest delay that a service is granted; ARM's and Graph's limits refill within minutes."""
_ENTRA_BUSY = "AADSTS90033"
"""A transient error has occurred. Source: https://learn.microsoft.com/entra/identity-platform/reference-error-codes"""
_NUMBER = re.compile("[0-9]{1,9}(\\.[0-9]{1,9})?")


def not_yet(message: str, poll_interval: float, remedy: str | None = None) -> ApplicationError:
    """Return the error by which an activity asks to be run again, as a look at something slow.

    Args:
        message: What has not happened yet.
        poll_interval: Seconds until the next look.
        remedy: What the admin can do when it never happens.

    """
    return ApplicationError(
        message,
        FailureDetails(
            error_class=ErrorClass.TRANSIENT, remedy=remedy or "look at what the message says is waited for"
        ),
        type=NOT_YET,
        category=ApplicationErrorCategory.BENIGN,
        next_retry_delay=timedelta(seconds=poll_interval),
    )


def failure(code: str, message: str, *, poll_interval: float | None = None) -> ApplicationError:
    """Return the error by which an activity fails as the catalogue says of the code.

    Args:
        code: A code of the catalogue.
        message: What has happened.
        poll_interval: Seconds until the next attempt, where the code is transient.

    """
    return _error(code, message, delay=timedelta(seconds=poll_interval) if poll_interval else None)


def application_error(error: Exception, attempt: int) -> ApplicationError | None:
    """Return what an activity fails with in place of a failure of Azure, Graph or the network.

    Args:
        error: What the activity raised.
        attempt: Number of the attempt, from 1; told in the error.

    Returns:
        The error, or None for a failure that is none of theirs: a defect of ours. One that an odd answer
        may have brought about is taken for theirs.

    """
    match error:
        case ApplicationError():
            judged = error
        case (
            DecodeError()
            | ServiceRequestError()
            | ServiceResponseError()
            | httpx.TransportError()
            | TimeoutError()
            | LeaseExpiredError()
        ):
            judged = ApplicationError(bounded(str(error)) or "no answer", type=type(error).__name__)
        case HttpResponseError():
            judged = _from_arm(error, attempt)
        case APIError():
            judged = _from_graph(error, attempt)
        case AttributeError() | TypeError() | ValueError() | LookupError():
            judged = _error("UnexpectedAnswer", _unreadable(error))
        case _:
            return None
    details = judged.details[0] if judged.details else FailureDetails()
    return ApplicationError(
        bounded(hidden(judged.message)),
        details.model_copy(update={"attempts": attempt}),
        type=judged.type,
        non_retryable=judged.non_retryable,
        next_retry_delay=judged.next_retry_delay,
        category=judged.category,
    )


def _unreadable(error: Exception) -> str:
    """Return where an answer was read that lacks what it should have, or is none at all."""
    files = ((Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__))
    places = [(file, line) for file, line in files if any(folder in file.parents for folder in _OURS)]
    place = f"{places[-1][0].relative_to(_PRODUCT)}, line {places[-1][1]}" if places else "the SDK"
    # What other errors say may hold the answer, and a secret in it.
    words = f": {error}" if isinstance(error, AttributeError | TypeError) else ""
    return f"an answer cannot be read: {type(error).__name__} in {place}{words}"


def _from_arm(error: HttpResponseError, attempt: int) -> ApplicationError:
    response: Any = error.response
    headers: Mapping[str, str] = response.headers if response is not None else {}
    correlation_id = headers.get("x-ms-correlation-request-id")
    cause = _innermost(error.error)
    if isinstance(error, ClientAuthenticationError) and cause is None:
        # The text holds the whole answer of the token endpoint.
        match = re.search(r"AADSTS\d+", str(error))
        code = match[0] if match else "AuthenticationFailed"
        message = f"the worker's identity cannot sign in ({code})"
        # Entra ID says why where it refuses. What has no such code came from something before it that was busy.
        may_pass = match is None or code == _ENTRA_BUSY
        return _error(code, message, error.status_code, delay=retry_after(headers), is_transient=may_pass)
    code, message = arm_code(error), arm_message(error)
    # An answer that was cut off has no code, and no status of an error.
    was_cut_off = code in ("Unknown", "Http200")
    return _error(code, message, error.status_code, attempt, correlation_id, retry_after(headers), was_cut_off)


def arm_code(error: HttpResponseError) -> str:
    """Return the code of an ARM failure: the innermost, which wrapper codes hide."""
    cause = _innermost(error.error)
    code = _code(cause.code) if cause else ""
    return code or (f"Http{error.status_code}" if error.status_code else "Unknown")


def arm_message(error: HttpResponseError) -> str:
    """Return the message that belongs to the code."""
    cause = _innermost(error.error)
    return bounded(str((cause.message if cause else None) or error.message))


def is_about_capacity(error: HttpResponseError) -> bool:
    """Tell whether Azure cannot give what was asked for, but perhaps another size, in another zone or region."""
    return find(arm_code(error), error.message, error.status_code).error_class == ErrorClass.CAPACITY


def _code(code: object) -> str:
    """Return a service's code, whatever stands in its place: it becomes the type of an error."""
    return bounded(str(code or ""))[:_MAX_CODE]


def _innermost(error: ODataV4Format | None) -> ODataV4Format | None:
    """Return the root cause: the innermost of the details, which wrapper codes hide."""
    while error is not None and error.details and error.details[0].message:
        error = error.details[0]
    return error


def _from_graph(error: APIError, attempt: int) -> ApplicationError:
    status = error.response_status_code
    headers: Mapping[str, str] = error.response_headers or {}
    main = error.error if isinstance(error, ODataError) else None
    code = (_code(main.code) if main else "") or f"Http{status}"
    message = _unwrapped((main.message if main else None) or str(error))
    inner = main.inner_error if main else None
    correlation_id = inner.request_id if inner else None
    return _error(code, message, status, attempt, correlation_id, retry_after(headers))


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


def _error(
    code: str,
    message: str,
    status: int | None = None,
    attempt: int = 0,
    correlation_id: str | None = None,
    delay: timedelta | None = None,
    is_transient: bool = False,
) -> ApplicationError:
    entry = find(code, message, status)
    # A token may have been revoked; the next attempt gets a new one.
    is_transient |= status == HTTPStatus.UNAUTHORIZED and attempt == 1
    error_class = ErrorClass.TRANSIENT if is_transient else entry.error_class
    details = FailureDetails(error_class=error_class, remedy=entry.remedy, correlation_id=correlation_id)
    may_pass = error_class == ErrorClass.TRANSIENT
    return ApplicationError(
        bounded(message) or code,
        details,
        type=code,
        non_retryable=not may_pass,
        next_retry_delay=delay if may_pass else None,
    )


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Return how long a service asks to be left alone, `MAX_RETRY_AFTER` at most, or None when it does not say."""
    milliseconds = headers.get("retry-after-ms") or headers.get("x-ms-retry-after-ms") or ""
    value = headers.get("Retry-After") or headers.get("retry-after") or ""
    if _NUMBER.fullmatch(milliseconds):
        delay = timedelta(milliseconds=float(milliseconds))
    elif _NUMBER.fullmatch(value):
        delay = timedelta(seconds=float(value))
    else:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        # One without a time zone is of UTC too.
        delay = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)
    return min(max(timedelta(0), delay), MAX_RETRY_AFTER)
