"""The one state object of a Cloud PC's workflow: what is known of it, and how its steps are run and noted."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, is_cancelled_exception

from activities.signatures import CloudPcReference, FailureDetails, StepResult
from models.base import GraphModel
from models.cloud_pc import (
    STAGES,
    CloudPc,
    CloudPcRequest,
    CloudPcStatus,
    CloudPcWarning,
    Stage,
    StatusDetail,
    Step,
    StepState,
    StepStatus,
)
from workflows import temporal
from workflows.activity_options import ACTIVITY_OPTIONS

_Input = TypeVar("_Input", bound=GraphModel)
_Result = TypeVar("_Result", bound=StepResult)

_MARKS = {
    StepState.PENDING: "· pending",
    StepState.RUNNING: "▶ running",
    StepState.SUCCEEDED: "✔ succeeded",
    StepState.WARNING: "**! warning**",
    StepState.FAILED: "**✘ failed**",
    StepState.NOT_APPLICABLE: "– not applicable",
}


_NOT_IN_CODE = str.maketrans({"|": "¦", "`": "'", "\n": " "})


class StepFailedError(Exception):
    """A step failed for good.

    Attributes:
        detail: The step, why it failed, and what the admin can do.
        attempts: How often it was tried, or None when that is not known.

    """

    def __init__(self, detail: StatusDetail, attempts: int | None) -> None:
        super().__init__(f"{detail.step}: {detail.code}: {detail.message}")
        self.detail = detail
        self.attempts = attempts


class CloudPcRecord:
    """What is known of one Cloud PC, kept in step with the Web UI and the search attributes."""

    def __init__(self, request: CloudPcRequest) -> None:
        policy, user = request.policy, request.user
        name = policy.computer_name(user.user_principal_name.partition("@")[0], workflow.random())
        self.cloud_pc = CloudPc(
            id=request.id,
            status=CloudPcStatus.PROVISIONING,
            attempt=request.attempt,
            reason=request.reason,
            policy_id=policy.id,
            policy_display_name=policy.display_name,
            service_plan=request.service_plan.id,
            user=user,
            computer_name=name,
            region=policy.domain_join.region_name,
            join_type=policy.domain_join.domain_join_type,
            single_sign_on=policy.enable_single_sign_on,
            steps=_pending(Stage.CORE_PROVISIONING) + _pending(Stage.POST_PROVISIONING) + _pending(Stage.ASSIGNMENT),
        )

    @property
    def reference(self) -> CloudPcReference:
        """The Cloud PC as activities need to know it."""
        pc = self.cloud_pc
        return CloudPcReference(
            cloud_pc_id=pc.id,
            policy_id=pc.policy_id,
            user_id=pc.user.id,
            computer_name=pc.computer_name,
            region=pc.region,
        )

    def update(self, **changes: Any) -> None:
        """Note new facts; the names are fields of `CloudPc`."""
        self.cloud_pc = CloudPc.model_validate(dict(self.cloud_pc) | changes)
        workflow.set_current_details(_details(self.cloud_pc))

    def set_status(self, status: CloudPcStatus, **changes: Any) -> None:
        """Note a new status and show it where fleets are searched."""
        self.update(status=status, **changes)
        pc = self.cloud_pc
        troubled = [step.step.value for step in pc.steps if step.state in (StepState.WARNING, StepState.FAILED)]
        updates: list[SearchAttributeUpdate[Any]] = [
            temporal.STATUS.value_set(status),
            temporal.COMPUTER_NAME.value_set(pc.computer_name),
            temporal.WARNINGS.value_set(troubled),
        ]
        workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] - untyped in the SDK

    def expect(self, stage: Stage) -> None:
        """List the stage's steps as pending, in place of what an earlier pass left of them."""
        kept = tuple(step for step in self.cloud_pc.steps if step.stage != stage)
        self.update(steps=kept + _pending(stage))

    def has_failed(self, failure: StepFailedError, leftovers: list[StepFailedError]) -> None:
        """Note that the Cloud PC is `failed`, and what could not be taken away."""
        left = tuple(leftover.detail.step for leftover in leftovers)
        self.set_status(CloudPcStatus.FAILED, status_detail=failure.detail.model_copy(update={"leftovers": left}))

    def not_applicable(self, step: Step, why: str) -> None:
        """Note that this Cloud PC does not need the step."""
        self._note(step, state=StepState.NOT_APPLICABLE, detail=why)

    async def run(self, step: Step, activity: Callable[[_Input], Awaitable[_Result]], request: _Input) -> _Result:
        """Run one step's activity and note how it goes.

        Raises:
            StepFailedError: It failed for good.
            asyncio.CancelledError: The workflow is being cancelled.

        """
        if self._is_cancelled(step):
            # A cancellation is lost when an activity completes at the same moment.
            raise asyncio.CancelledError
        self._note(step, state=StepState.RUNNING, start_date_time=workflow.now(), detail="")
        options: workflow.ActivityConfig = {
            **ACTIVITY_OPTIONS[step],
            "activity_id": step.activity_id,
            "summary": f"{_title(step)} · {self.cloud_pc.computer_name}",
        }
        try:
            result = await workflow.execute_activity(activity, request, **options)
        except ActivityError as error:
            # An activity that was waiting for its next attempt fails with its last failure when it is cancelled.
            if is_cancelled_exception(error) or self._is_cancelled(step):
                self._end(step, StepState.FAILED, None, "cancelled")
                # The activity's cancellation is the workflow's: what waits for this step sees only that.
                raise asyncio.CancelledError from error
            failure = _failure(step, error)
            self._end(step, StepState.FAILED, failure.attempts, f"{failure.detail.code}: {failure.detail.message}")
            raise failure from error
        self._end(step, StepState.SUCCEEDED, result.attempts, result.detail)
        return result

    @staticmethod
    def _is_cancelled(step: Step) -> bool:
        return workflow.cancellation_reason() is not None and step not in STAGES[Stage.DEPROVISIONING]

    def warn(self, failure: StepFailedError) -> None:
        """Note that a failed step is a warning only."""
        detail = failure.detail
        warning = CloudPcWarning(step=detail.step, code=detail.code, message=detail.message, attempts=failure.attempts)
        self.update(warnings=(*self.cloud_pc.warnings, warning))
        self._note(detail.step, state=StepState.WARNING)

    def _end(self, step: Step, state: StepState, attempts: int | None, detail: str) -> None:
        start = next(status.start_date_time for status in self.cloud_pc.steps if status.step == step)
        now = workflow.now()
        duration = (now - start).total_seconds() if start else None
        self._note(step, state=state, end_date_time=now, duration_in_seconds=duration, attempts=attempts, detail=detail)

    def _note(self, step: Step, **changes: Any) -> None:
        self.update(
            steps=tuple(
                status.model_copy(update=changes) if status.step == step else status for status in self.cloud_pc.steps
            )
        )


def _pending(stage: Stage) -> tuple[StepStatus, ...]:
    return tuple(StepStatus(step=step, stage=stage, display_name=title) for step, title in STAGES[stage].items())


def _title(step: Step) -> str:
    return next(steps[step] for steps in STAGES.values() if step in steps)


def _failure(step: Step, error: ActivityError) -> StepFailedError:
    """Read what the activity's boundary put into the failure."""
    cause = error.cause
    told = FailureDetails()
    code, message = type(cause).__name__, str(cause)
    if isinstance(cause, TimeoutError):
        code = f"{cause.type.name if cause.type else 'Timeout'}".title().replace("_", "")
        message = f"the step did not end in time; last failure: {cause.cause or 'none'}"
    elif isinstance(cause, ApplicationError):
        code, message = cause.type or code, cause.message
        # An activity that was failed by hand has whatever details its operator gave.
        with contextlib.suppress(ValidationError):
            told = FailureDetails.model_validate(cause.details[0] if cause.details else {})
    detail = StatusDetail(step=step, code=code, message=message, remedy=told.remedy, correlation_id=told.correlation_id)
    return StepFailedError(detail, told.attempts)


def _details(pc: CloudPc) -> str:
    """Return the checklist that the Web UI shows, in Markdown."""
    lines = [
        f"## {pc.computer_name}: {pc.status}",
        f"Policy **{pc.policy_display_name}**, plan {pc.service_plan}, region {pc.region}, attempt {pc.attempt}",
        "",
        "| Step | State | Duration | Attempts | |",
        "|---|---|---|---|---|",
    ]
    for status in pc.steps:
        duration = "" if status.duration_in_seconds is None else f"{status.duration_in_seconds:.1f} s"
        # As code, or the guest's own words would be taken for Markdown.
        words = status.detail.translate(_NOT_IN_CODE)
        detail = f"`{words}`" if words else ""
        lines.append(
            f"| {status.display_name} | {_MARKS[status.state]} | {duration} | {status.attempts or ''} | {detail} |"
        )
    if pc.status_detail:
        failure = pc.status_detail
        lines += ["", f"**{failure.step} failed**: {failure.code}: {failure.message}", "", f"Remedy: {failure.remedy}"]
    lines += [f"\nRefused signal `{refused.signal}`: {refused.error}" for refused in pc.refused_signals]
    return "\n".join(lines)
