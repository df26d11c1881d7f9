"""A provisioning policy that is applied: its groups' licensed users have Cloud PCs, and who leaves loses theirs."""

import asyncio
import contextlib
from collections.abc import Generator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from contract import steps
from contract.errors import ActivityFailedError
from contract.fleet import FleetInput, ReconcileInput, Room, RoomInput
from models.azure_network_connection import Connections
from models.base import GraphModel, WorkflowInput
from models.fleet import Change, FleetPlan, Requirement
from models.provisioning_policy import ProvisioningPolicy
from models.remote_actions import RefusedSignal
from models.service_plan import ServicePlanCatalogue
from models.validation import bounded
from workflows import messages, runner

_SIGNALS = ("reconcile", "proceed")


class PolicyState(StrEnum):
    """What an applied policy is doing."""

    RECONCILING = "reconciling"
    WAITING = "waiting"
    """Everything was done; it waits for the next time."""
    HELD = "held"
    """More Cloud PCs would lose their user than the ceiling allows: none did, until an admin says `proceed`."""
    FAILED = "failed"
    """Nothing, or not everything, could be done; it is tried again the next time."""


class PolicyStatus(GraphModel):
    """All that is known of an applied policy: answer to the query `provisioning_policy`."""

    id: str
    display_name: str
    state: PolicyState
    applied_date_time: datetime
    reconciled_date_time: datetime | None = None
    next_reconcile_date_time: datetime | None = None
    plan: FleetPlan | None = None
    """What the last reconciliation did; held grace periods did not start."""
    problem: str = ""
    """Why it is held or failed, and the remedy."""
    refused_signals: tuple[RefusedSignal, ...] = ()


class ApplyRequest(WorkflowInput):
    """A policy with all that its Cloud PCs are made from; input of the workflow and of its update `apply`."""

    policy: ProvisioningPolicy
    connections: Connections = ()
    service_plans: ServicePlanCatalogue
    known: PolicyStatus | None = None
    """What is known of the policy, where this run goes on with one that is applied already."""

    def usable(self) -> "ApplyRequest":
        """Return it with the connections that the policy names, in its order.

        Raises:
            ApplicationError: `UnusableConnection`, or a plan that an assignment names is not in the catalogue.

        """
        connections = messages.usable_connections(self.policy, self.connections, field="policy.")
        for number, assignment in enumerate(self.policy.assignments):
            plan = assignment.service_plan_id
            if plan and not self.service_plans.find(plan):
                raise messages.invalid_input(
                    f"policy.assignments[{number}].servicePlanId: {plan}: no such service plan"
                )
        return self.model_copy(update={"connections": connections})


class Reconcile(GraphModel):
    """An admin wants groups and licenses to be looked at now."""


class Proceed(GraphModel):
    """An admin's word that Cloud PCs may lose their user, although they are more than the ceiling."""

    grace_period_starts: Annotated[int, Field(ge=0)] | None = None
    """How many may; None: as many as are held."""


class PlanResponse(GraphModel):
    """What `apply` would do."""

    plan: FleetPlan
    requirements: tuple[Requirement, ...]
    """What the new Cloud PCs need of quota and addresses, against what is free."""
    is_held: bool
    """Whether it would stop before Cloud PCs lose their user, because they are more than the ceiling."""


@workflow.defn
class FleetPlanWorkflow:
    """Says what applying a policy would do; changes nothing."""

    @workflow.run
    async def run(self, request: ApplyRequest = messages.NO_INPUT) -> PlanResponse:
        """Return what applying the policy would do.

        Raises:
            ApplicationError: The input is invalid.
            ActivityFailedError: `GroupNotFound`, or something could not be read.

        """
        request = messages.required(request, ApplyRequest).usable()
        plan = await runner.run(steps.PLAN_FLEET, _fleet_input(request), about=request.policy.display_name)
        room = Room(requirements=())
        if plan.created:
            wanted = RoomInput(**dict(_fleet_input(request)), created=plan.created)
            room = await runner.run(steps.CHECK_ROOM, wanted, about=request.policy.display_name)
        is_held = plan.is_above(request.policy.grace_period_ceiling)
        return PlanResponse(plan=plan, requirements=room.requirements, is_held=is_held)


@workflow.defn
class ProvisioningPolicyWorkflow:
    """Brings a policy's groups and its Cloud PCs into line: when it is applied, on demand, and regularly.

    The Cloud PCs' lives are their own: they go on when this workflow is cancelled or terminated.
    """

    @workflow.init
    def __init__(self, request: ApplyRequest = messages.NO_INPUT) -> None:
        self._request = messages.required(request, ApplyRequest).usable()
        policy = self._request.policy
        self._status = self._request.known or PolicyStatus(
            id=policy.id,
            display_name=policy.display_name,
            state=PolicyState.RECONCILING,
            applied_date_time=workflow.now(),
        )
        self._is_wanted = self._request.known is None
        self._may_start = 0

    @workflow.run
    async def run(self, request: ApplyRequest = messages.NO_INPUT) -> None:
        """Reconcile again and again; ends only by cancellation.

        Args:
            request: The policy, as `__init__` got it.

        """
        while True:
            if self._is_wanted:
                await self._reconcile()
            interval = timedelta(minutes=self._request.policy.reconcile_interval_in_minutes)
            reconciled = self._status.reconciled_date_time or workflow.now()
            self._update(next_reconcile_date_time=reconciled + interval)
            rest = max(reconciled + interval - workflow.now(), timedelta())
            try:
                await workflow.wait_condition(
                    lambda: self._is_wanted or workflow.info().is_continue_as_new_suggested(), timeout=rest
                )
            except TimeoutError:
                self._is_wanted = True
            if not self._is_wanted:
                workflow.continue_as_new(self._request.model_copy(update={"known": self._status}))

    async def _reconcile(self) -> None:
        request, may_start = self._request, max(self._may_start, self._request.policy.grace_period_ceiling)
        self._is_wanted, self._may_start = False, 0
        self._update(state=PolicyState.RECONCILING, problem="")
        wanted = ReconcileInput(
            **dict(_fleet_input(request)), grace_period_starts=may_start, task_queue=workflow.info().task_queue
        )
        try:
            done = await runner.run(
                steps.RECONCILE_FLEET, wanted, about=request.policy.display_name, priority=runner.REGULAR
            )
        except ActivityFailedError as error:
            if workflow.cancellation_reason() is not None:
                # An activity that was waiting for its next attempt fails with its last failure when it is cancelled.
                raise asyncio.CancelledError from error
            why = error.why
            problem = f"{why.code}: {why.message}; {why.remedy}"
            self._update(state=PolicyState.FAILED, reconciled_date_time=workflow.now(), problem=problem)
            return
        problem = f"not reached, and tried again the next time: {'; '.join(done.unreached)}" if done.unreached else ""
        if done.is_held:
            problem = (
                f"{done.plan.grace_period_starts} Cloud PCs would lose their user, more than the gracePeriodCeiling of "
                f"{request.policy.grace_period_ceiling}: correct the groups or licences, or send the signal proceed"
            )
        self._update(
            state=PolicyState.HELD if done.is_held else PolicyState.WAITING,
            reconciled_date_time=workflow.now(),
            plan=done.plan,
            problem=problem,
        )

    @workflow.query(description="The applied policy, and what its last reconciliation did")
    def provisioning_policy(self) -> PolicyStatus:
        """Return all that is known of the applied policy."""
        return self._status

    @workflow.update(description="Apply the policy as it is now; input as starter.py apply sends it")
    def apply(self, payload: RawValue = messages.NOTHING) -> PolicyStatus:
        """Take the policy as it is now, and reconcile."""
        self._request = self._applied(payload)
        self._is_wanted = True
        self._update(
            display_name=self._request.policy.display_name,
            applied_date_time=workflow.now(),
            state=PolicyState.RECONCILING,
        )
        return self._status

    @apply.validator
    def _validate_apply(self, payload: RawValue = messages.NOTHING) -> None:
        self._applied(payload)

    @workflow.signal(description="Look at groups and licences now")
    def reconcile(self, payload: RawValue = messages.NOTHING) -> None:
        """Reconcile now, or note why the signal was refused."""
        with self._refusing("reconcile"):
            messages.decoded(payload, Reconcile)
            self._is_wanted = True

    @workflow.signal(description='Let Cloud PCs lose their user that are held; input {"gracePeriodStarts": 25}')
    def proceed(self, payload: RawValue = messages.NOTHING) -> None:
        """Go on although more Cloud PCs lose their user than the ceiling allows, or note why not."""
        with self._refusing("proceed"):
            word = messages.decoded(payload, Proceed)
            if self._status.state != PolicyState.HELD or not self._status.plan:
                raise ApplicationError("nothing is held")
            held = self._status.plan.grace_period_starts
            self._may_start = held if word.grace_period_starts is None else word.grace_period_starts
            self._is_wanted = True

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _payloads: Sequence[RawValue]) -> None:
        """Note that there is no such signal: it would be lost without a trace."""
        with self._refusing(bounded(name)[:100]):
            raise messages.no_such_signal(name, _SIGNALS)

    def _applied(self, payload: RawValue) -> ApplyRequest:
        request = messages.decoded(payload, ApplyRequest)
        if request.policy.id != self._request.policy.id:
            raise ApplicationError(f"policy.id: {request.policy.id} is another policy than {self._request.policy.id}")
        return request.usable().model_copy(update={"known": None})

    @contextlib.contextmanager
    def _refusing(self, signal: str) -> Generator[None]:
        try:
            yield
        except ApplicationError as error:
            self._update(refused_signals=messages.with_refused(self._status.refused_signals, signal, error))

    def _update(self, **changes: Any) -> None:
        self._status = PolicyStatus.model_validate(dict(self._status) | changes)
        workflow.set_current_details(_details(self._status))


def _fleet_input(request: ApplyRequest) -> FleetInput:
    return FleetInput(policy=request.policy, connections=request.connections, service_plans=request.service_plans)


def _details(status: PolicyStatus) -> str:
    """Return what the Web UI shows, in Markdown."""
    lines = [f"## {status.display_name}: {status.state}"]
    if status.problem:
        lines += ["", f"**{status.problem}**"]
    if status.plan:
        lines += [
            "",
            f"Reconciled at {status.reconciled_date_time:%Y-%m-%d %H:%M} UTC",
            "",
            "| Cloud PCs | |",
            "|---|---|",
        ]
        lines += [f"| {change} | {status.plan.counts.get(change, 0)} |" for change in Change]
        lines += [f"\n{note}" for note in status.plan.notes]
    lines += [f"\nRefused signal `{refused.signal}`: {refused.error}" for refused in status.refused_signals]
    return "\n".join(lines)
