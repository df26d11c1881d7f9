"""The life of one Cloud PC: one workflow execution, each provisioning attempt a run of its own."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from activities import search_attributes
from models.azure_network_connection import UnusableConnectionError, connections_of
from models.cloud_pc import (
    Accepted,
    CancelGracePeriod,
    CloudPc,
    CloudPcRequest,
    CloudPcStatus,
    Deprovision,
    EndGracePeriod,
    Reprovision,
    StartGracePeriod,
)
from models.fleet import settings_version
from models.validation import bounded
from workflows import temporal
from workflows.assignment import assign
from workflows.core_provisioning import provision_core
from workflows.deprovisioning import take_away
from workflows.post_provisioning import configure
from workflows.record import CloudPcRecord, StepFailedError
from workflows.temporal import NO_INPUT, required

_TAKE_AWAY_AGAIN_AFTER = timedelta(hours=1)
"""When a grace period has ended and the Cloud PC could not be taken away."""
_SIGNALS = ("reprovision", "deprovision", "startGracePeriod", "cancelGracePeriod", "endGracePeriod")


@workflow.defn
class CloudPcWorkflow:
    """Provisions a Cloud PC, then stays: answers queries, and provisions anew or ends when asked to.

    A wish that comes in the middle of an attempt waits until it has ended; several equal wishes are
    one, and `deprovision` outranks `reprovision`.
    """

    @workflow.init
    def __init__(self, request: CloudPcRequest = NO_INPUT) -> None:
        self._request = required(request, CloudPcRequest)
        self._record = CloudPcRecord(self._request)
        self._reprovision: Reprovision | None = None
        self._deprovision = False
        self._cancelled = False
        self._busy = True

    @workflow.run
    async def run(self, request: CloudPcRequest = NO_INPUT) -> CloudPc:
        """Live until the Cloud PC is deprovisioned, and return what was known of it then.

        A cancellation takes the Cloud PC away like `deprovision`, and then ends the workflow as cancelled.

        Args:
            request: The wish for a Cloud PC, as `__init__` got it.

        Raises:
            ApplicationError: `UnusableConnection`: nothing is made where the policy's connections are not given.

        """
        try:
            connections_of(request.policy, request.connections)
        except UnusableConnectionError as error:
            raise ApplicationError(str(error), type="UnusableConnection", non_retryable=True) from error
        if request.cloud_pc is None:
            await self._provision()
        self._busy = False
        while True:
            await self._until_wished()
            if not self._wished:
                workflow.continue_as_new(self._request.model_copy(update={"cloud_pc": self._record.cloud_pc}))
            self._busy = True
            reprovision, self._reprovision = self._reprovision, None
            ends = self._deprovision or self._cancelled
            self._record.set_status(
                CloudPcStatus.DEPROVISIONING if ends else CloudPcStatus.PROVISIONING,
                pending_operation=None,
                rollout_id=reprovision.rollout_id if reprovision and not ends else self._record.cloud_pc.rollout_id,
            )
            failures = await self._take_away()
            # What comes in while handlers drain is looked at before the end, not lost.
            await workflow.wait_condition(workflow.all_handlers_finished)
            if failures:
                # The wish is spent; one that came in meanwhile is not.
                self._cancelled = False
                self._deprovision = self._deprovision and not ends
                if self._grace_period_end and self._grace_period_end <= workflow.now():
                    self._record.update(grace_period_end_date_time=workflow.now() + _TAKE_AWAY_AGAIN_AFTER)
                self._record.has_failed(failures[0], failures)
                self._busy = False
            elif self._deprovision or self._cancelled:
                self._record.set_status(CloudPcStatus.NOT_PROVISIONED, pending_operation=None)
                if self._cancelled:
                    raise asyncio.CancelledError
                return self._record.cloud_pc
            else:
                wish = reprovision or Reprovision()
                request = self._next_request(wish.merged_with(self._reprovision or wish))
                settings = settings_version(request.policy, request.connections)
                memo = {**workflow.memo(), search_attributes.MEMO_SETTINGS: settings}
                workflow.continue_as_new(request, memo=memo)

    async def _provision(self) -> None:
        record, request = self._record, self._request
        record.set_status(CloudPcStatus.PROVISIONING)
        try:
            await provision_core(record, request)
            await configure(record, request)
            await assign(record, request, record.cloud_pc.virtual_machine_id or "")
        except StepFailedError as failure:
            record.has_failed(failure, await self._take_away())
        except asyncio.CancelledError:
            self._cancelled = True
        else:
            record.set_status(record.cloud_pc.settled_status)
            # One that came as the last step completed has reached nobody.
            self._cancelled = workflow.cancellation_reason() is not None

    async def _until_wished(self) -> None:
        """Wait for a wish, or until the history has become so long that another one should begin.

        The end of the grace period is a wish to deprovision.
        """
        while not (self._wished or workflow.info().is_continue_as_new_suggested()):
            end = self._grace_period_end
            if end and end <= workflow.now():
                self._deprovision = True
                break
            with contextlib.suppress(TimeoutError):
                try:
                    await workflow.wait_condition(
                        lambda end=end: (
                            self._wished
                            or self._grace_period_end != end
                            or workflow.info().is_continue_as_new_suggested()
                        ),
                        timeout=end - workflow.now() if end else None,
                    )
                except asyncio.CancelledError:
                    self._cancelled = True

    async def _take_away(self) -> list[StepFailedError]:
        """Take away what exists, to the end: a cancellation meanwhile is remembered."""
        work = asyncio.ensure_future(take_away(self._record))
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                self._cancelled = True
        return work.result()

    def _next_request(self, wish: Reprovision) -> CloudPcRequest:
        policy = wish.policy or self._request.policy
        if wish.user_account_type is not None:
            policy = policy.with_user_account_type(wish.user_account_type)
        changes = {
            "policy": policy,
            "connections": connections_of(policy, wish.connections) if wish.policy else self._request.connections,
            "attempt": self._request.attempt + 1,
            "cloud_pc": None,
            "reason": wish.reason,
            "rollout_id": wish.rollout_id,
            "grace_period_end_date_time": self._grace_period_end,
        }
        return self._request.model_copy(update=changes)

    @property
    def _grace_period_end(self) -> datetime | None:
        return self._record.cloud_pc.grace_period_end_date_time

    @property
    def _wished(self) -> bool:
        return self._reprovision is not None or self._deprovision or self._cancelled

    @workflow.query(description="All that is known of the Cloud PC, with every step's state, start and duration")
    def cloud_pc(self) -> CloudPc:
        """Return all that is known of the Cloud PC."""
        return self._record.cloud_pc

    @workflow.update(description='Make the Cloud PC anew; input {"reason": "…"}')
    def reprovision(self, payload: RawValue = temporal.NOTHING) -> Accepted:
        """Accept the wish to have the Cloud PC made anew."""
        return self._accept(self._reprovision_wish(payload))

    @reprovision.validator
    def _validate_reprovision(self, payload: RawValue = temporal.NOTHING) -> None:
        self._reprovision_wish(payload)

    @workflow.update(description='Take the Cloud PC away for good; input {"reason": "…"}')
    def deprovision(self, payload: RawValue = temporal.NOTHING) -> Accepted:
        """Accept the wish to end the Cloud PC's life."""
        return self._accept(temporal.decoded(payload, Deprovision))

    @deprovision.validator
    def _validate_deprovision(self, payload: RawValue = temporal.NOTHING) -> None:
        temporal.decoded(payload, Deprovision)

    @workflow.signal(name="reprovision", description='Make the Cloud PC anew; input {"reason": "…"}')
    def reprovision_signal(self, payload: RawValue = temporal.NOTHING) -> None:
        """Accept the wish to have the Cloud PC made anew, or note why the signal was refused."""
        try:
            self._accept(self._reprovision_wish(payload))
        except ApplicationError as error:
            self._refuse("reprovision", error)

    @workflow.signal(name="deprovision", description='Take the Cloud PC away for good; input {"reason": "…"}')
    def deprovision_signal(self, payload: RawValue = temporal.NOTHING) -> None:
        """Accept the wish to end the Cloud PC's life, or note why the signal was refused."""
        try:
            self._accept(temporal.decoded(payload, Deprovision))
        except ApplicationError as error:
            self._refuse("deprovision", error)

    @workflow.signal(name="startGracePeriod", description="Sent by the policy: take the Cloud PC away after a while")
    def start_grace_period(self, payload: RawValue = temporal.NOTHING) -> None:
        """Let the grace period begin; one that has begun goes on."""
        try:
            wish = temporal.decoded(payload, StartGracePeriod)
        except ApplicationError as error:
            self._refuse("startGracePeriod", error)
        else:
            if self._grace_period_end is None:
                self._set_grace_period_end(workflow.now() + timedelta(hours=wish.grace_period_in_hours))

    @workflow.signal(name="cancelGracePeriod", description="Sent by the policy: the user may keep the Cloud PC")
    def cancel_grace_period(self, payload: RawValue = temporal.NOTHING) -> None:
        """Let the grace period be over and the Cloud PC live on."""
        try:
            temporal.decoded(payload, CancelGracePeriod)
        except ApplicationError as error:
            self._refuse("cancelGracePeriod", error)
        else:
            if self._grace_period_end is not None:
                self._set_grace_period_end(None)

    @workflow.signal(
        name="endGracePeriod", description='Do not wait for the grace period\'s end; input {"reason": "…"}'
    )
    def end_grace_period(self, payload: RawValue = temporal.NOTHING) -> None:
        """Take the Cloud PC away now that is in its grace period, or note why the signal was refused."""
        try:
            wish = temporal.decoded(payload, EndGracePeriod)
            if self._grace_period_end is None:
                raise ApplicationError("the Cloud PC is in no grace period; use deprovision")
            self._accept(Deprovision(reason=wish.reason))
        except ApplicationError as error:
            self._refuse("endGracePeriod", error)

    def _set_grace_period_end(self, end: datetime | None) -> None:
        self._record.update(grace_period_end_date_time=end)
        if not self._busy:
            self._record.set_status(self._record.cloud_pc.settled_status)

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _payloads: Sequence[RawValue]) -> None:
        """Note that there is no such signal: it would be lost without a trace."""
        self._refuse(bounded(name)[:100], temporal.no_such_signal(name, _SIGNALS))

    def _reprovision_wish(self, payload: RawValue) -> Reprovision:
        wish = temporal.decoded(payload, Reprovision)
        if self._deprovision or self._cancelled:
            raise ApplicationError("the Cloud PC is being deprovisioned; provision it again when it is gone")
        if wish.policy is not None and wish.policy.id != self._request.policy.id:
            raise ApplicationError(
                f"policy.id: {wish.policy.id} is another policy; this Cloud PC was made from {self._request.policy.id}"
            )
        if wish.connections and wish.policy is None:
            raise ApplicationError("connections: given without the policy that names them; add policy")
        if wish.policy is not None:
            try:
                connections_of(wish.policy, wish.connections)
            except UnusableConnectionError as error:
                raise ApplicationError(f"policy.{error}") from error
        return wish

    def _accept(self, wish: Reprovision | Deprovision) -> Accepted:
        match wish:
            case Reprovision():
                if wish.rollout_id and wish.rollout_id in self._rollouts:
                    # A rollout that was interrupted asks again.
                    return Accepted(cloud_pc_id=self._request.id, operation="reprovision", when="now")
                self._reprovision = self._reprovision.merged_with(wish) if self._reprovision else wish
            case Deprovision():
                self._deprovision = True
        operation = "deprovision" if self._deprovision else "reprovision"
        if self._busy:
            self._record.update(pending_operation=operation)
        when = "afterCurrentAttempt" if self._busy else "now"
        return Accepted(cloud_pc_id=self._request.id, operation=operation, when=when)

    @property
    def _rollouts(self) -> tuple[str | None, ...]:
        """The rollouts whose wish is being fulfilled, or is about to be."""
        waiting = self._reprovision.rollout_id if self._reprovision else None
        return self._record.cloud_pc.rollout_id, waiting

    def _refuse(self, signal: str, error: ApplicationError) -> None:
        refused = temporal.with_refused(self._record.cloud_pc.refused_signals, signal, error)
        self._record.update(refused_signals=refused)
