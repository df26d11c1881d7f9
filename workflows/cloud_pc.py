"""The life of one Cloud PC: one workflow execution, each provisioning attempt a run of its own."""

import asyncio

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from models.cloud_pc import (
    Accepted,
    CloudPc,
    CloudPcRequest,
    CloudPcStatus,
    Deprovision,
    RefusedSignal,
    Reprovision,
)
from models.validation import one_line
from workflows.assignment import assign
from workflows.core_provisioning import provision_core
from workflows.deprovisioning import take_away
from workflows.post_provisioning import configure
from workflows.record import CloudPcRecord, StepFailedError

_REFUSED_SIGNALS_KEPT = 5


@workflow.defn
class CloudPcWorkflow:
    """Provisions a Cloud PC, then stays: answers queries, and provisions anew or ends when asked to.

    A wish that comes in the middle of an attempt waits until it has ended; several equal wishes are
    one, and `deprovision` outranks `reprovision`.
    """

    @workflow.init
    def __init__(self, request: CloudPcRequest) -> None:
        self._request = request
        self._record = CloudPcRecord(request)
        self._reprovision: Reprovision | None = None
        self._deprovision: Deprovision | None = None
        self._busy = True

    @workflow.run
    async def run(self, request: CloudPcRequest) -> CloudPc:
        """Live until the Cloud PC is deprovisioned, and return what was known of it then.

        Args:
            request: The wish for a Cloud PC, as `__init__` got it.

        """
        await self._provision()
        while True:
            await workflow.wait_condition(lambda: self._wished)
            self._record.set_status(
                CloudPcStatus.DEPROVISIONING if self._deprovision else CloudPcStatus.PROVISIONING,
                pending_operation=None,
            )
            self._busy = True
            failures = await take_away(self._record)
            # What comes in while handlers drain is looked at before the end, not lost.
            await workflow.wait_condition(workflow.all_handlers_finished)
            if failures:
                self._reprovision = self._deprovision = None
                self._fail(failures[0], leftovers=failures)
            elif self._deprovision is not None:
                self._record.set_status(CloudPcStatus.NOT_PROVISIONED)
                return self._record.cloud_pc
            elif self._reprovision is not None:
                workflow.continue_as_new(self._next_request(self._reprovision))

    async def _provision(self) -> None:
        record, request = self._record, self._request
        record.set_status(CloudPcStatus.PROVISIONING)
        try:
            await provision_core(record, request)
            await configure(record, request)
            await assign(record, request, record.cloud_pc.virtual_machine_id or "")
        except StepFailedError as failure:
            self._fail(failure, leftovers=await asyncio.shield(take_away(record)))
        except asyncio.CancelledError:
            await asyncio.shield(take_away(record))
            record.set_status(CloudPcStatus.NOT_PROVISIONED)
            raise
        else:
            warned = bool(record.cloud_pc.warnings)
            record.set_status(CloudPcStatus.PROVISIONED_WITH_WARNINGS if warned else CloudPcStatus.PROVISIONED)
        self._busy = False

    def _fail(self, failure: StepFailedError, leftovers: list[StepFailedError]) -> None:
        self._busy = False
        detail = failure.detail.model_copy(update={"leftovers": tuple(left.detail.step for left in leftovers)})
        self._record.set_status(CloudPcStatus.FAILED, status_detail=detail)

    def _next_request(self, wish: Reprovision) -> CloudPcRequest:
        policy = wish.policy or self._request.policy
        if wish.user_account_type is not None:
            policy = policy.with_user_account_type(wish.user_account_type)
        return self._request.model_copy(update={"policy": policy, "attempt": self._request.attempt + 1})

    @property
    def _wished(self) -> bool:
        return self._reprovision is not None or self._deprovision is not None

    def _accept(self, wish: Reprovision | Deprovision) -> Accepted:
        match wish:
            case Reprovision():
                self._reprovision, operation = wish, "reprovision"
            case Deprovision():
                self._deprovision, operation = wish, "deprovision"
        if self._busy:
            self._record.update(pending_operation="deprovision" if self._deprovision else "reprovision")
        when = "afterCurrentAttempt" if self._busy else "now"
        return Accepted(cloud_pc_id=self._request.id, operation=operation, when=when)

    @workflow.query(description="All that is known of the Cloud PC, with every step's state, start and duration")
    def cloud_pc(self) -> CloudPc:
        """Return all that is known of the Cloud PC."""
        return self._record.cloud_pc

    @workflow.update(name="reprovision", description="Take the Cloud PC away and make it anew")
    def reprovision(self, wish: Reprovision) -> Accepted:
        """Accept the wish to have the Cloud PC made anew."""
        return self._accept(wish)

    @reprovision.validator
    def _validate_reprovision(self, wish: Reprovision) -> None:
        self._check(wish)

    def _check(self, wish: Reprovision) -> None:
        if self._deprovision is not None:
            raise ApplicationError("the Cloud PC is being deprovisioned; provision it again when it is gone")
        if wish.policy is not None and wish.policy.id != self._request.policy.id:
            raise ApplicationError(
                f"policy.id: {wish.policy.id} is another policy; this Cloud PC was made from {self._request.policy.id}"
            )

    @workflow.update(name="deprovision", description="Take the Cloud PC away for good")
    def deprovision(self, wish: Deprovision) -> Accepted:
        """Accept the wish to end the Cloud PC's life."""
        return self._accept(wish)

    # Signals are taken raw: one that cannot be decoded would be dropped without a trace.
    @workflow.signal(name="reprovision", description='Make the Cloud PC anew; input {"reason": "…"}')
    def reprovision_signal(self, payload: RawValue) -> None:
        """Accept the wish to have the Cloud PC made anew, or note why the signal was refused."""
        self._accept_signal("reprovision", payload, Reprovision)

    @workflow.signal(name="deprovision", description='Take the Cloud PC away for good; input {"reason": "…"}')
    def deprovision_signal(self, payload: RawValue) -> None:
        """Accept the wish to end the Cloud PC's life, or note why the signal was refused."""
        self._accept_signal("deprovision", payload, Deprovision)

    def _accept_signal(self, name: str, payload: RawValue, model: type[Reprovision] | type[Deprovision]) -> None:
        try:
            wish = model.model_validate_json(payload.payload.data or b"{}", extra="forbid")
            if isinstance(wish, Reprovision):
                self._check(wish)
        except (ValidationError, ApplicationError) as error:
            refused = RefusedSignal(
                signal=name,
                date_time=workflow.now(),
                error=str(error) if isinstance(error, ApplicationError) else one_line(error, model),
            )
            kept = (*self._record.cloud_pc.refused_signals, refused)[-_REFUSED_SIGNALS_KEPT:]
            self._record.update(refused_signals=kept)
        else:
            self._accept(wish)
