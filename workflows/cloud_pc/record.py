"""The one state object of a Cloud PC's workflow: what is known of it, and how its steps are run and noted."""

import asyncio
import random  # noqa: TID251 - a seeded source, which replays
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import Priority, SearchAttributeUpdate
from temporalio.exceptions import ActivityError

from contract import search_attributes
from contract.activity import Step, StepResult
from contract.errors import ActivityFailedError
from contract.steps import steps_of
from domain.status import settled_status
from models.azure_network_connection import ActiveDirectoryDomain, AzureNetworkConnection
from models.base import GraphModel
from models.cloud_pc import (
    CloudPc,
    CloudPcReference,
    CloudPcRequest,
    CloudPcStatus,
    CloudPcWarning,
    Stage,
    StatusDetail,
    StepState,
    StepStatus,
)
from models.provisioning_policy import DomainJoinConfiguration, DomainJoinType
from workflows import runner
from workflows.cloud_pc.view import details
from workflows.messages import invalid_input

_Input = TypeVar("_Input", bound=GraphModel)
_Result = TypeVar("_Result", bound=StepResult)

_REPROVISION, _FIRST_ATTEMPT, _ROLLOUT = 2, 3, 4
"""Priority keys of Temporal: a smaller one is served first, 3 is what has none."""


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
            is_name_chosen=False,
            region="",
            join_type=policy.domain_join_type,
            single_sign_on=policy.enable_single_sign_on,
            grace_period_end_date_time=request.grace_period_end_date_time,
            rollout_id=request.rollout_id,
            remote_actions=request.remote_actions,
            steps=tuple(
                pending
                for stage in (Stage.CORE_PROVISIONING, Stage.POST_PROVISIONING, Stage.ASSIGNMENT)
                for pending in self._pending(stage)
            ),
        )
        self.enter(self._place_of(request.cloud_pc) if request.cloud_pc else self._configuration)

    def _place_of(self, pc: CloudPc) -> DomainJoinConfiguration:
        """Return where a Cloud PC was made that exists.

        Raises:
            ApplicationError: `InvalidInput`: it was made at none of the policy's places, or at which is not sure.

        """
        names = {connection.id: connection.display_name for connection in self._request.connections}
        places = [
            place
            for place in self._request.policy.domain_join_configurations
            if place.region_name in (None, pc.region)
            and (
                place.on_premises_connection_id == pc.on_premises_connection_id
                # Noted since it is known that display names are not unique.
                if pc.on_premises_connection_id
                else names.get(place.on_premises_connection_id or "") == pc.on_premises_connection_name
            )
        ]
        if len(places) != 1:
            raise invalid_input(
                f"cloudPc: made at {len(places)} of the policy's places; give the policy and connections of its making"
            )
        return places[0]

    def propose_computer_name(self) -> str:
        """Return a name after the policy's template, another one each time."""
        user_name = self._request.user.user_principal_name.partition("@")[0]
        return self._request.policy.computer_name(user_name, self._names)

    def choose_name(self, computer_name: str) -> None:
        """Note what the computer is called from now on, a name that is nobody's."""
        self.update(is_name_chosen=True)
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
            on_premises_connection_id=connection.id if connection else None,
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
            is_name_chosen=pc.is_name_chosen,
        )

    @property
    def _priority(self) -> Priority:
        """Where the steps stand in a queue: what an admin asked for first, a rollout last, policies in turn."""
        first = _FIRST_ATTEMPT if self.cloud_pc.attempt == 1 else _REPROVISION
        key = _ROLLOUT if self.cloud_pc.rollout_id else first
        return Priority(priority_key=key, fairness_key=self.cloud_pc.policy_id)

    def update(self, **changes: Any) -> None:
        """Note new facts; the names are fields of `CloudPc`."""
        self.cloud_pc = CloudPc.model_validate(dict(self.cloud_pc) | changes)
        workflow.set_current_details(details(self.cloud_pc))

    def set_status(self, status: CloudPcStatus, **changes: Any) -> None:
        """Note a new status and show it where fleets are searched."""
        self.update(status=status, **changes)
        pc = self.cloud_pc
        why, end = pc.status_detail, pc.grace_period_end_date_time
        failure, grace = search_attributes.FAILURE, search_attributes.GRACE_PERIOD_END
        troubled = [step.step for step in pc.steps if step.state in (StepState.WARNING, StepState.FAILED)]
        updates: list[SearchAttributeUpdate[Any]] = [
            search_attributes.STATUS.value_set(status),
            search_attributes.COMPUTER_NAME.value_set(pc.computer_name),
            search_attributes.WARNINGS.value_set(troubled),
            failure.value_set(f"{why.step}: {why.code}") if why else failure.value_unset(),
            grace.value_set(end) if end else grace.value_unset(),
        ]
        workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] - untyped in the SDK

    def settle(self) -> None:
        """Note the status of a Cloud PC of which nothing is under way."""
        self.set_status(settled_status(self.cloud_pc))

    def expect(self, stage: Stage) -> None:
        """List the stage's steps as pending, in place of what an earlier pass left of them."""
        kept = tuple(step for step in self.cloud_pc.steps if step.stage != stage)
        self.update(steps=kept + self._pending(stage))

    def has_failed(self, error: ActivityFailedError, leftovers: list[ActivityFailedError]) -> None:
        """Note that the Cloud PC is `failed`, and what could not be removed."""
        why = error.why
        detail = StatusDetail(
            step=error.activity,
            code=why.code,
            message=why.message,
            remedy=why.remedy,
            correlation_id=why.correlation_id,
            leftovers=tuple(leftover.activity for leftover in leftovers),
        )
        self.set_status(CloudPcStatus.FAILED, status_detail=detail)

    def not_applicable(self, step: Step[Any, Any], why: str) -> None:
        """Note that this Cloud PC does not need the step."""
        self._note(step.name, state=StepState.NOT_APPLICABLE, detail=why)

    def leaves_out(self, step: Step[Any, Any]) -> bool:
        """Tell, and note, whether this run was begun before there was the step and goes on without it."""
        if not step.patch or workflow.patched(step.patch):
            return False
        self.not_applicable(step, "begun before there was this step")
        return True

    async def run(self, step: Step[_Input, _Result], request: _Input, *, within: timedelta | None = None) -> _Result:
        """Run one step and note how it goes.

        Args:
            step: Which step it is.
            request: Its input.
            within: Longest time of all attempts together, where the policy says so.

        Raises:
            ActivityFailedError: It failed for good.
            asyncio.CancelledError: The workflow is being cancelled.

        """
        if self._is_cancelled(step):
            # A cancellation is lost when an activity completes at the same moment.
            raise asyncio.CancelledError
        start = workflow.now()
        self._note(step.name, state=StepState.RUNNING, start_date_time=start, detail="")
        try:
            result = await runner.run(
                step,
                request,
                about=self.cloud_pc.computer_name,
                priority=self._priority,
                within=within,
                on_refused=lambda problem: self._note(
                    step.name, detail=f"completed by hand with an invalid result, so it runs again: {problem}"
                ),
            )
        except (ActivityError, ActivityFailedError) as error:
            # An activity that was waiting for its next attempt fails with its last failure when it is cancelled.
            if not isinstance(error, ActivityFailedError) or self._is_cancelled(step):
                self._end(step, start, StepState.FAILED, None, "cancelled")
                # The activity's cancellation is the workflow's: what waits for this step sees only that.
                raise asyncio.CancelledError from error
            why = error.why
            self._end(step, start, StepState.FAILED, why.attempts, f"{why.code}: {why.message}")
            raise
        self._end(step, start, StepState.SUCCEEDED, result.attempts, result.detail)
        return result

    @staticmethod
    def _is_cancelled(step: Step[Any, Any]) -> bool:
        return workflow.cancellation_reason() is not None and step.stage != Stage.DEPROVISIONING

    def warn(self, error: ActivityFailedError) -> None:
        """Note that a failed step is a warning only."""
        why = error.why
        warning = CloudPcWarning(step=error.activity, code=why.code, message=why.message, attempts=why.attempts)
        self.update(warnings=(*self.cloud_pc.warnings, warning))
        self._note(error.activity, state=StepState.WARNING)

    def _end(self, step: Step[Any, Any], start: datetime, state: StepState, attempts: int | None, detail: str) -> None:
        now = workflow.now()
        duration = (now - start).total_seconds()
        self._note(
            step.name,
            state=state,
            end_date_time=now,
            duration_in_seconds=duration,
            attempts=attempts,
            detail=detail,
        )

    def _pending(self, stage: Stage) -> tuple[StepStatus, ...]:
        return tuple(
            StepStatus(step=step.name, stage=stage, display_name=step.title)
            for step in steps_of(stage, self._request.policy)
        )

    def _note(self, name: str, **changes: Any) -> None:
        self.update(
            steps=tuple(
                status.model_copy(update=changes) if status.step == name else status for status in self.cloud_pc.steps
            )
        )


def _source_of_names() -> random.Random:
    """Return where a run's computer names come from: one that is reset gets the same ones, and no other does."""
    # Cloud PCs that were begun before go on under the names that they have.
    if not workflow.patched("computer-names-of-run"):
        return workflow.random()
    return random.Random(workflow.info().original_execution_run_id)  # noqa: S311 - names, no secrets


def place_failure(error: ActivityFailedError, refusals: list[str], place: str) -> ActivityFailedError:
    """Return a failure that says also why the places that were tried before could not be used."""
    if not refusals:
        return error
    message = "; ".join([*refusals, f"{place}: {error.why.code}: {error.why.message}"])
    return ActivityFailedError(error.activity, error.why.model_copy(update={"message": message}))
