"""The life of one Cloud PC: one workflow execution, each provisioning attempt a run of its own."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from contract import search_attributes
from contract.errors import ActivityFailedError
from domain.fleet import settings_version
from models.azure_network_connection import connections_of
from models.cloud_pc import CloudPc, CloudPcRequest, CloudPcStatus
from models.remote_actions import Accepted, ActionRequest, ActionState, Deprovision, Reprovision
from models.validation import bounded
from workflows import messages
from workflows.assignment import assign
from workflows.cloud_pc.actions import ACTIONS, DEPROVISION, REPROVISION, RemoteAction, with_handlers
from workflows.cloud_pc.record import CloudPcRecord
from workflows.cloud_pc.requests import RequestedActions
from workflows.core_provisioning import provision_core
from workflows.deprovisioning import deprovision
from workflows.messages import NO_INPUT, required
from workflows.post_provisioning import configure

_REMOVE_AGAIN_AFTER = timedelta(hours=1)
"""When a grace period has ended and the Cloud PC could not be removed."""


@workflow.defn
@with_handlers
class CloudPcWorkflow:
    """Provisions a Cloud PC, then stays: answers queries, and carries out what is asked of it.

    A request that comes while something is under way waits until that has ended.
    """

    @workflow.init
    def __init__(self, request: CloudPcRequest = NO_INPUT) -> None:
        self.request = required(request, CloudPcRequest)
        self.record = CloudPcRecord(self.request)
        self._actions = RequestedActions(self.record)
        self._cancelled = False
        self._ends = False
        self._busy = True
        self._refused_at: datetime | None = None
        self._refused_in_task = 0

    @workflow.run
    async def run(self, request: CloudPcRequest = NO_INPUT) -> CloudPc:
        """Live until the Cloud PC is deprovisioned, and return what was known of it then.

        A cancellation removes the Cloud PC as `deprovision` does, and then ends the workflow as cancelled.

        Args:
            request: What the Cloud PC is made from, as `__init__` got it.

        Raises:
            ApplicationError: `UnusableConnection`: nothing is made where the policy's connections are not given.

        """
        messages.usable_connections(request.policy, request.connections)
        if request.cloud_pc is None:
            await self._provision()
        self._busy = False
        while self.record.cloud_pc.status != CloudPcStatus.NOT_PROVISIONED:
            await self._until_asked()
            if not self._actions:
                workflow.continue_as_new(self.request.model_copy(update={"cloud_pc": self.record.cloud_pc}))
            self._busy = True
            await self._carry_out_next()
            self._busy = False
        return self.record.cloud_pc

    async def _provision(self) -> None:
        record, request = self.record, self.request
        record.set_status(CloudPcStatus.PROVISIONING)
        try:
            await provision_core(record, request)
            await configure(record, request)
            await assign(record, request, record.cloud_pc.virtual_machine_id or "")
        except ActivityFailedError as failure:
            record.has_failed(failure, await self._deprovision())
            self._actions.end(ActionState.FAILED, failure.why.code, failure.why.message)
        except asyncio.CancelledError:
            self._cancelled = True
            self._actions.end(ActionState.CANCELED, message="the workflow was cancelled")
        else:
            record.settle()
            self._actions.end(ActionState.DONE)
            # A cancellation that arrives as the last step completes is not delivered to any await.
            self._cancelled = workflow.cancellation_reason() is not None

    async def _until_asked(self) -> None:
        """Wait until something is asked for, or until the history has become so long that another one should begin.

        The end of the grace period, and a cancellation, ask for a deprovision.
        """
        while not (self._is_asked or workflow.info().is_continue_as_new_suggested()):
            end = self._grace_period_end
            if end and end <= workflow.now():
                self._actions.add(DEPROVISION, Deprovision(requested_by="the end of the grace period"))
                return
            with contextlib.suppress(TimeoutError):
                try:
                    await workflow.wait_condition(
                        lambda end=end: (
                            self._is_asked
                            or self._grace_period_end != end
                            or workflow.info().is_continue_as_new_suggested()
                        ),
                        timeout=end - workflow.now() if end else None,
                    )
                except asyncio.CancelledError:
                    self._cancelled = True
        if self._cancelled:
            self._actions.add(DEPROVISION, Deprovision(requested_by="a cancellation of the workflow"))

    @property
    def _is_asked(self) -> bool:
        return bool(self._actions) or self._cancelled

    async def _carry_out_next(self) -> None:
        requested = self._actions.begin()
        carry_out = requested.action.carry_out
        try:
            if carry_out:
                await carry_out(self, requested.request)
        except ActivityFailedError as failure:
            self._actions.end(ActionState.FAILED, failure.why.code, failure.why.message)
        except asyncio.CancelledError:
            if self._has_ended:
                raise
            self._cancelled = True
            self._actions.end(ActionState.CANCELED, message="the workflow was cancelled")
        else:
            self._actions.end(ActionState.DONE)
            # A cancellation that arrives as the action completes is not delivered to any await.
            self._cancelled = workflow.cancellation_reason() is not None

    async def remove(self, request: ActionRequest, *, ends: bool) -> None:
        """Remove what exists, and end the life or begin the next attempt.

        Args:
            request: What was asked for; for a next attempt a `Reprovision`.
            ends: Whether it is the end of the life.

        Raises:
            ActivityFailedError: Something could not be removed; the Cloud PC is `failed`.
            asyncio.CancelledError: The life has ended because the workflow was cancelled.

        """
        self._ends = ends
        wanted = request if isinstance(request, Reprovision) else Reprovision()
        rollout_id = self.record.cloud_pc.rollout_id if ends else wanted.rollout_id
        self.record.set_status(
            CloudPcStatus.DEPROVISIONING if ends else CloudPcStatus.PROVISIONING, rollout_id=rollout_id
        )
        failures = await self._deprovision()
        # What comes in while handlers drain is looked at before the end, not lost.
        await workflow.wait_condition(workflow.all_handlers_finished)
        self._ends = False
        if failures:
            # The request is spent; one that came in since then is not.
            self._cancelled = False
            if self._grace_period_end and self._grace_period_end <= workflow.now():
                self.record.update(grace_period_end_date_time=workflow.now() + _REMOVE_AGAIN_AFTER)
            self.record.has_failed(failures[0], failures)
            raise failures[0]
        if ends or self._cancelled or self._is_end_waiting:
            if not ends:
                self._actions.end(ActionState.CANCELED, message="the Cloud PC was deprovisioned instead")
            self._end()
        else:
            joined = self._actions.join(REPROVISION)
            self._begin_next_attempt(wanted.merged_with(joined) if isinstance(joined, Reprovision) else wanted)

    def _end(self) -> None:
        """Note that nothing is left.

        Raises:
            asyncio.CancelledError: It ends because the workflow was cancelled.

        """
        while self._actions:
            self._actions.begin()
        self._actions.end(ActionState.DONE)
        self.record.set_status(CloudPcStatus.NOT_PROVISIONED)
        if self._cancelled:
            raise asyncio.CancelledError

    def _begin_next_attempt(self, wanted: Reprovision) -> None:
        request = self._next_request(wanted)
        settings = settings_version(request.policy, request.connections)
        workflow.continue_as_new(request, memo={**workflow.memo(), search_attributes.MEMO_SETTINGS: settings})

    def _next_request(self, wanted: Reprovision) -> CloudPcRequest:
        policy = wanted.policy or self.request.policy
        if wanted.user_account_type is not None:
            policy = policy.with_user_account_type(wanted.user_account_type)
        changes: dict[str, Any] = {
            "policy": policy,
            "connections": connections_of(policy, wanted.connections) if wanted.policy else self.request.connections,
            "attempt": self.request.attempt + 1,
            "cloud_pc": None,
            "reason": wanted.reason,
            "rollout_id": wanted.rollout_id,
            "grace_period_end_date_time": self._grace_period_end,
            "remote_actions": self.record.cloud_pc.remote_actions,
        }
        return self.request.model_copy(update=changes)

    async def _deprovision(self) -> list[ActivityFailedError]:
        """Remove what exists, to the end: a cancellation in its middle is remembered."""
        work = asyncio.ensure_future(deprovision(self.record))
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                self._cancelled = True
        return work.result()

    @property
    def _grace_period_end(self) -> datetime | None:
        return self.record.cloud_pc.grace_period_end_date_time

    @property
    def _has_ended(self) -> bool:
        return self.record.cloud_pc.status == CloudPcStatus.NOT_PROVISIONED

    @property
    def _is_end_waiting(self) -> bool:
        return self._actions.first is not None and self._actions.first.action.rank >= DEPROVISION.rank

    @workflow.query(description="All that is known of the Cloud PC, with every step's state, start and duration")
    def cloud_pc(self) -> CloudPc:
        """Return all that is known of the Cloud PC."""
        return self.record.cloud_pc

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _payloads: Sequence[RawValue]) -> None:
        """Note that there is no such signal: it would be lost without a trace."""
        self.refuse(bounded(name)[:100], messages.no_such_signal(name, [action.name for action in ACTIONS]))

    def check(self, action: RemoteAction[Any], payload: RawValue) -> ActionRequest:
        """Return a request that can be accepted.

        Raises:
            ApplicationError: Why it is refused.

        """
        request: ActionRequest = messages.decoded(payload, action.request)
        waiting = self._actions.first
        ends = self._ends or self._cancelled or self._is_end_waiting
        if action.carry_out and action is not DEPROVISION and ends:
            raise ApplicationError("the Cloud PC is being deprovisioned; provision it again when it is gone")
        if self.record.cloud_pc.status not in action.states:
            allowed = ", ".join(sorted(action.states))
            raise ApplicationError(
                f"the Cloud PC is {self.record.cloud_pc.status}; {action.name} needs one that is: {allowed}"
            )
        if action.carry_out and waiting and waiting.action.rank > action.rank:
            raise ApplicationError(f"{waiting.action.name} waits, which outranks {action.name}")
        if reason := action.against(self, request):
            raise ApplicationError(reason)
        return request

    def ask(self, action: RemoteAction[Any], payload: RawValue) -> Accepted:
        """Accept a request, and do it at once where it is such an action.

        Raises:
            ApplicationError: Why it is refused.

        """
        request = self.check(action, payload)
        if action.at_once:
            id = self._actions.done_at_once(action, request) if action.at_once(self, request) else None
            return Accepted(cloud_pc_id=self.request.id, operation=action.name, when="now", action_id=id)
        if isinstance(request, Reprovision) and request.rollout_id and request.rollout_id in self._rollouts:
            # A rollout that was interrupted asks again.
            return Accepted(cloud_pc_id=self.request.id, operation=action.name, when="now")
        requested = self._actions.add(action, request)
        when = "afterCurrentAttempt" if self._busy else "now"
        return Accepted(cloud_pc_id=self.request.id, operation=action.name, when=when, action_id=requested.id)

    @property
    def _rollouts(self) -> tuple[str | None, ...]:
        """The rollouts whose request is being carried out, or is about to be."""
        waiting = self._actions.of(REPROVISION)
        asked_for = waiting.request.rollout_id if waiting and isinstance(waiting.request, Reprovision) else None
        return self.record.cloud_pc.rollout_id, asked_for

    def refuse(self, signal: str, error: ApplicationError) -> None:
        """Note why a signal was refused; of a burst the first few: a workflow task has 2 seconds for all of it."""
        now = workflow.now()
        # A workflow's clock stands still within a task.
        self._refused_in_task = self._refused_in_task + 1 if now == self._refused_at else 1
        self._refused_at = now
        if self._refused_in_task > messages.REFUSED_KEPT:
            return
        refused = messages.with_refused(self.record.cloud_pc.refused_signals, signal, error)
        self.record.update(refused_signals=refused)

    def set_grace_period_end(self, end: datetime | None) -> None:
        """Note until when the Cloud PC lives."""
        self.record.update(grace_period_end_date_time=end)
        if not self._busy:
            self.record.settle()
