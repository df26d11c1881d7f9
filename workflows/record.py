"""The one state object of a Cloud PC's workflow: what is known of it, and how its steps are run and noted."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar, get_type_hints

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import Priority, RawValue, SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, is_cancelled_exception

from activities import search_attributes
from activities.signatures import NOT_YET, CloudPcReference, ErrorClass, FailureDetails, StepResult
from models.azure_network_connection import ActiveDirectoryDomain, AzureNetworkConnection
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
    steps_of,
)
from models.provisioning_policy import DomainJoinConfiguration, DomainJoinType
from models.validation import one_line
from workflows.activity_options import ACTIVITY_OPTIONS, GRAPH_STEPS, Service, service_queue

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


_REPROVISION, _FIRST_ATTEMPT, _ROLLOUT = 2, 3, 4
"""Priority keys of Temporal: a smaller one is served first, 3 is what has none."""
_NOT_IN_CODE = str.maketrans({"|": "¦", "`": "'", "\n": " "})


class StepFailedError(Exception):
    """A step failed for good.

    Attributes:
        detail: The step, why it failed, and what the admin can do.
        attempts: How often it was tried, or None when that is not known.
        error_class: What the failure means: whether another candidate may do.

    """

    def __init__(
        self, detail: StatusDetail, attempts: int | None, error_class: ErrorClass = ErrorClass.TERMINAL
    ) -> None:
        super().__init__(f"{detail.step}: {detail.code}: {detail.message}")
        self.detail = detail
        self.attempts = attempts
        self.error_class = error_class

    def after(self, refusals: list[str], place: str) -> "StepFailedError":
        """Return the same failure, telling also why the places that were tried before could not be used."""
        if not refusals:
            return self
        message = "; ".join([*refusals, f"{place}: {self.detail.code}: {self.detail.message}"])
        return StepFailedError(self.detail.model_copy(update={"message": message}), self.attempts, self.error_class)


class CloudPcRecord:
    """What is known of one Cloud PC, kept in step with the Web UI and the search attributes."""

    def __init__(self, request: CloudPcRequest) -> None:
        policy, user = request.policy, request.user
        self._request = request
        self._names = _source_of_names()
        self._configuration = policy.domain_join_configurations[0]
        self.cloud_pc = request.cloud_pc or CloudPc(
            id=request.id,
            status=CloudPcStatus.PROVISIONING,
            attempt=request.attempt,
            reason=request.reason,
            policy_id=policy.id,
            policy_display_name=policy.display_name,
            service_plan=request.service_plan.id,
            user=user,
            computer_name=self.propose_computer_name(),
            region="",
            join_type=policy.domain_join_type,
            single_sign_on=policy.enable_single_sign_on,
            grace_period_end_date_time=request.grace_period_end_date_time,
            rollout_id=request.rollout_id,
            steps=tuple(
                pending
                for stage in (Stage.CORE_PROVISIONING, Stage.POST_PROVISIONING, Stage.ASSIGNMENT)
                for pending in self._pending(stage)
            ),
        )
        self.enter(self._place_of(request.cloud_pc) if request.cloud_pc else self._configuration)

    def _place_of(self, pc: CloudPc) -> DomainJoinConfiguration:
        """Return where a Cloud PC was made that exists."""
        names = {connection.id: connection.display_name for connection in self._request.connections}
        return next(
            place
            for place in self._request.policy.domain_join_configurations
            if names.get(place.on_premises_connection_id or "") == pc.on_premises_connection_name
            and place.region_name in (None, pc.region)
        )

    def propose_computer_name(self) -> str:
        """Return a name after the policy's template, another one each time."""
        user_name = self._request.user.user_principal_name.partition("@")[0]
        return self._request.policy.computer_name(user_name, self._names)

    def rename(self, computer_name: str) -> None:
        """Note what the computer is called."""
        if computer_name != self.cloud_pc.computer_name:
            self.update(computer_name=computer_name)
            updates: list[SearchAttributeUpdate[Any]] = [search_attributes.COMPUTER_NAME.value_set(computer_name)]
            workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] - untyped in the SDK

    def enter(self, configuration: DomainJoinConfiguration) -> None:
        """Note where the Cloud PC is being made from now on; what was made elsewhere must be gone."""
        self._configuration = configuration
        connection = self.connection
        known = self._request.cloud_pc
        self.update(
            region=configuration.region_name or (known.region if known else ""),
            on_premises_connection_name=connection.display_name if connection else None,
        )

    @property
    def connection(self) -> AzureNetworkConnection | None:
        """The Azure network connection in use, or None in a Microsoft-hosted network."""
        wanted = self._configuration.on_premises_connection_id
        return next((connection for connection in self._request.connections if connection.id == wanted), None)

    @property
    def domain(self) -> ActiveDirectoryDomain | None:
        """The Active Directory domain that the Cloud PC joins, or None."""
        is_hybrid = self._configuration.domain_join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN
        return self.connection.domain if is_hybrid and self.connection else None

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
            resource_group_id=self.connection.resource_group_id if self.connection else None,
            domain_join_type=self._configuration.domain_join_type,
            entra_device_id=pc.entra_device_id,
        )

    @property
    def _priority(self) -> Priority:
        """Where the steps stand in a queue: an admin's own wish first, a rollout last, policies in turn."""
        first = _FIRST_ATTEMPT if self.cloud_pc.attempt == 1 else _REPROVISION
        key = _ROLLOUT if self.cloud_pc.rollout_id else first
        return Priority(priority_key=key, fairness_key=self.cloud_pc.policy_id)

    def update(self, **changes: Any) -> None:
        """Note new facts; the names are fields of `CloudPc`."""
        self.cloud_pc = CloudPc.model_validate(dict(self.cloud_pc) | changes)
        workflow.set_current_details(_details(self.cloud_pc))

    def set_status(self, status: CloudPcStatus, **changes: Any) -> None:
        """Note a new status and show it where fleets are searched."""
        self.update(status=status, **changes)
        pc = self.cloud_pc
        why, end = pc.status_detail, pc.grace_period_end_date_time
        failure, grace = search_attributes.FAILURE, search_attributes.GRACE_PERIOD_END
        troubled = [step.step.value for step in pc.steps if step.state in (StepState.WARNING, StepState.FAILED)]
        updates: list[SearchAttributeUpdate[Any]] = [
            search_attributes.STATUS.value_set(status),
            search_attributes.COMPUTER_NAME.value_set(pc.computer_name),
            search_attributes.WARNINGS.value_set(troubled),
            failure.value_set(f"{why.step}: {why.code}") if why else failure.value_unset(),
            grace.value_set(end) if end else grace.value_unset(),
        ]
        workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] - untyped in the SDK

    def expect(self, stage: Stage) -> None:
        """List the stage's steps as pending, in place of what an earlier pass left of them."""
        kept = tuple(step for step in self.cloud_pc.steps if step.stage != stage)
        self.update(steps=kept + self._pending(stage))

    def has_failed(self, failure: StepFailedError, leftovers: list[StepFailedError]) -> None:
        """Note that the Cloud PC is `failed`, and what could not be taken away."""
        left = tuple(leftover.detail.step for leftover in leftovers)
        self.set_status(CloudPcStatus.FAILED, status_detail=failure.detail.model_copy(update={"leftovers": left}))

    def not_applicable(self, step: Step, why: str) -> None:
        """Note that this Cloud PC does not need the step."""
        self._note(step, state=StepState.NOT_APPLICABLE, detail=why)

    async def run(
        self,
        step: Step,
        activity: Callable[[_Input], Awaitable[_Result]],
        request: _Input,
        *,
        within: timedelta | None = None,
    ) -> _Result:
        """Run one step's activity and note how it goes.

        Args:
            step: Which step it is.
            activity: Its activity, out of `activities.signatures`.
            request: The activity's input.
            within: Longest time of all attempts together, where the policy says so.

        Raises:
            StepFailedError: It failed for good.
            asyncio.CancelledError: The workflow is being cancelled.

        """
        if self._is_cancelled(step):
            # A cancellation is lost when an activity completes at the same moment.
            raise asyncio.CancelledError
        start = workflow.now()
        self._note(step, state=StepState.RUNNING, start_date_time=start, detail="")
        options: workflow.ActivityConfig = {
            **ACTIVITY_OPTIONS[step],
            "activity_id": step.activity_id,
            "summary": f"{_title(step)} · {self.cloud_pc.computer_name}",
        }
        service = Service.GRAPH if step in GRAPH_STEPS else Service.AZURE
        options["task_queue"] = service_queue(workflow.info().task_queue, service)
        options["priority"] = self._priority
        if within:
            options["schedule_to_close_timeout"] = within
        try:
            result = await self._result_of(step, activity, request, options)
        except ActivityError as error:
            # An activity that was waiting for its next attempt fails with its last failure when it is cancelled.
            if is_cancelled_exception(error) or self._is_cancelled(step):
                self._end(step, start, StepState.FAILED, None, "cancelled")
                # The activity's cancellation is the workflow's: what waits for this step sees only that.
                raise asyncio.CancelledError from error
            failure = _failure(step, error)
            self._end(
                step, start, StepState.FAILED, failure.attempts, f"{failure.detail.code}: {failure.detail.message}"
            )
            raise failure from error
        self._end(step, start, StepState.SUCCEEDED, result.attempts, result.detail)
        return result

    async def _result_of(
        self,
        step: Step,
        activity: Callable[[_Input], Awaitable[_Result]],
        request: _Input,
        options: workflow.ActivityConfig,
    ) -> _Result:
        """Run an activity until its result can be used: one that was completed by hand may have any result."""
        result_type: type[_Result] = get_type_hints(activity)["return"]
        while True:
            # Taken raw, for what cannot be decoded would fail the workflow task, for ever.
            raw: RawValue | None = await workflow.execute_activity(step.value, request, result_type=RawValue, **options)
            try:
                return result_type.model_validate_json(raw.payload.data if raw else b"null")
            except ValidationError as error:
                refused = one_line(error, result_type)
            self._note(step, detail=f"completed by hand with a result that is of no use, so it runs again: {refused}")

    @staticmethod
    def _is_cancelled(step: Step) -> bool:
        return workflow.cancellation_reason() is not None and step not in STAGES[Stage.DEPROVISIONING]

    def warn(self, failure: StepFailedError) -> None:
        """Note that a failed step is a warning only."""
        detail = failure.detail
        warning = CloudPcWarning(step=detail.step, code=detail.code, message=detail.message, attempts=failure.attempts)
        self.update(warnings=(*self.cloud_pc.warnings, warning))
        self._note(detail.step, state=StepState.WARNING)

    def _end(self, step: Step, start: datetime, state: StepState, attempts: int | None, detail: str) -> None:
        now = workflow.now()
        duration = (now - start).total_seconds()
        self._note(step, state=state, end_date_time=now, duration_in_seconds=duration, attempts=attempts, detail=detail)

    def _pending(self, stage: Stage) -> tuple[StepStatus, ...]:
        steps = steps_of(stage, self._request.policy)
        return tuple(StepStatus(step=step, stage=stage, display_name=title) for step, title in steps.items())

    def _note(self, step: Step, **changes: Any) -> None:
        self.update(
            steps=tuple(
                status.model_copy(update=changes) if status.step == step else status for status in self.cloud_pc.steps
            )
        )


def _source_of_names() -> random.Random:
    """Return where a run's computer names come from: one that is reset gets the same ones, and no other does."""
    # Cloud PCs that were begun before go on under the names that they have.
    if not workflow.patched("computer-names-of-run"):
        return workflow.random()
    return random.Random(workflow.info().original_execution_run_id)  # noqa: S311 - names, no secrets


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
        cause = cause.cause
    elif isinstance(cause, ApplicationError) and cause.type == NOT_YET:
        # The server gives the last failure where there is no time for another attempt.
        code, message = "ScheduleToClose", f"the step did not end in time: {cause.message}"
    elif isinstance(cause, ApplicationError):
        code, message = cause.type or code, cause.message
    if isinstance(cause, ApplicationError):
        # An activity that was failed by hand has whatever details its operator gave.
        with contextlib.suppress(ValidationError):
            told = FailureDetails.model_validate(cause.details[0] if cause.details else {})
    detail = StatusDetail(step=step, code=code, message=message, remedy=told.remedy, correlation_id=told.correlation_id)
    return StepFailedError(detail, told.attempts, told.error_class)


def _details(pc: CloudPc) -> str:
    """Return the checklist that the Web UI shows, in Markdown."""
    where = f"connection {pc.on_premises_connection_name}" if pc.on_premises_connection_name else "hosted network"
    lines = [
        f"## {pc.computer_name}: {pc.status}",
        f"Policy **{pc.policy_display_name}**, plan {pc.service_plan}, region {pc.region or 'not known yet'}, {where}, "
        f"attempt {pc.attempt}",
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
