"""How activities fail: what the boundary puts into a failure, and how workflows and the starter read it."""

from enum import StrEnum

from pydantic import ValidationError
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, TimeoutError

from models.base import GraphModel
from models.validation import bounded

NOT_YET = "NotYet"
"""Type of the error by which an activity asks to be run again, as a look at something slow."""
OUT_OF_TIME = "ScheduleToClose"
"""Code of a failure of a step that did not end in the time it has."""
MISSING_RIGHT = frozenset({"AuthorizationFailed", "Authorization_RequestDenied", "Forbidden"})
"""Codes by which Azure and Graph say that a right is missing."""
DEFAULT_REMEDY = "look at the step's failure in the Temporal Web UI, then reprovision"


class ErrorClass(StrEnum):
    """What a failure means for the step that meets it."""

    TRANSIENT = "transient"
    """It passes by itself: the step is tried again."""
    CAPACITY = "capacity"
    """Azure cannot give what was asked for, but perhaps another size, in another zone or region."""
    TERMINAL = "terminal"
    """An admin has to correct something first."""


class FailureDetails(GraphModel):
    """Detail of the `ApplicationError` by which every activity fails; `cloud.errors` makes it."""

    attempts: int | None = None
    """How often the activity ran, or None when that is not known."""
    error_class: ErrorClass = ErrorClass.TERMINAL
    remedy: str = DEFAULT_REMEDY
    """What the admin can do."""
    correlation_id: str | None = None


class Failure(FailureDetails):
    """Why an activity, or a workflow, failed for good."""

    code: str
    message: str


class ActivityFailedError(ApplicationError):
    """An activity failed for good. A workflow that does not catch it fails with its code, message and remedy.

    Attributes:
        activity: Name of the activity.
        why: The failure, with what the admin can do.

    """

    def __init__(self, activity: str, failure: Failure) -> None:
        details = FailureDetails.model_validate(failure.model_dump())
        super().__init__(failure.message, details, type=failure.code, non_retryable=True)
        self.activity = activity
        self.why = failure


def read_failure(error: BaseException) -> Failure:
    """Return why an activity or a workflow failed, whoever failed it: its boundary, the server, or a person by hand.

    Args:
        error: An `ActivityError`, a `ChildWorkflowError`, or the cause of a workflow's failure.

    """
    cause = error.cause if isinstance(error, ActivityError | ChildWorkflowError) and error.cause else error
    if isinstance(cause, ActivityError | ChildWorkflowError):
        return read_failure(cause)
    match cause:
        case TimeoutError():
            # `None` is what a time that ran out before any attempt leaves.
            code = (cause.type.name if cause.type else "timeout").title().replace("_", "")
            return _failure(code, f"did not end in time; last failure: {cause.cause or 'none'}", cause.cause)
        case ApplicationError(type=kind) if kind == NOT_YET:
            # The server gives the last failure where there is no time for another attempt.
            return _failure(OUT_OF_TIME, f"did not end in time: {cause.message}", cause)
        case ApplicationError():
            return _failure(cause.type or type(cause).__name__, cause.message, cause)
        case _:
            return _failure(type(cause).__name__, str(cause) or "no reason was given", None)


def _failure(code: str, message: str, cause: BaseException | None) -> Failure:
    details = FailureDetails()
    if isinstance(cause, ApplicationError) and cause.details:
        try:
            details = FailureDetails.model_validate(cause.details[0])
        except ValidationError:
            # Failed by hand, it has whatever details its operator gave.
            details = FailureDetails()
    return Failure(code=code, message=bounded(message), **dict(details))
