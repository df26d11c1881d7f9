"""The audit: what should not exist, what is missing, and on demand the taking away of what is orphaned."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

from activities import signatures
from models.audit import OLDER_THAN, RESOURCE_KINDS, Finding, PartKind
from models.azure_network_connection import AzureNetworkConnection
from models.base import GraphModel, WorkflowInput
from models.cloud_pc import Step
from workflows.activity_options import ACTIVITY_OPTIONS, AUDIT, REVOKE_ROLES
from workflows.temporal import NO_INPUT, required

_Input = TypeVar("_Input", bound=GraphModel)
_AT_ONCE = 10
"""How many Cloud PCs' remains are taken away at the same time."""


class AuditRequest(WorkflowInput):
    """What is to be looked through."""

    connections: tuple[AzureNetworkConnection, ...] = ()
    """Azure network connections whose resource groups no Cloud PC tells: it may be of them that something is left."""
    older_than_minutes: float = OLDER_THAN
    """Age below which `--repair` takes nothing away."""


class AuditResponse(GraphModel):
    """Everything that is not as it should be."""

    findings: tuple[Finding, ...]
    left_off: int = 0
    """How many more findings there are; the next audit shows them when these are mended."""
    cloud_pcs: int
    """How many Cloud PCs there are."""
    namespace: str
    """The Temporal namespace that knows them."""


class RepairRequest(AuditRequest):
    """What the admin has seen and agreed to."""

    finding_ids: tuple[str, ...]
    """The orphans that may be taken away."""


class Repaired(GraphModel):
    """What came of the orphans of one computer."""

    workflow_id: str
    """Id of the workflow that took them away."""
    computer_name: str
    is_gone: bool
    detail: str = ""
    """Why it is not gone."""


class RepairResponse(GraphModel):
    """What was taken away, and what an audit finds afterwards."""

    repaired: tuple[Repaired, ...]
    after: AuditResponse


class RemainsRequest(WorkflowInput):
    """Orphans that may be taken away, of one Cloud PC."""

    computers: tuple[signatures.OrphanedComputer, ...]


class RemainsResponse(GraphModel):
    """What came of it, for each computer."""

    repaired: tuple[Repaired, ...]


@workflow.defn
class AuditWorkflow:
    """Compares what exists with the Cloud PCs that there are; changes nothing."""

    @workflow.run
    async def run(self, request: AuditRequest = NO_INPUT) -> AuditResponse:
        """Return what is not as it should be."""
        return _response(await _audit(required(request, AuditRequest)))


@workflow.defn
class RepairWorkflow:
    """Takes orphans away that an admin has seen, after looking once more whether they still are orphans."""

    @workflow.run
    async def run(self, request: RepairRequest = NO_INPUT) -> RepairResponse:
        """Take away what is still an orphan, old enough and agreed to; the rest stays as it is."""
        request = required(request, RepairRequest)
        found = await _audit(request)
        agreed = set(request.finding_ids)
        chosen: dict[str, list[signatures.OrphanedComputer]] = {}
        for computer in found.orphaned:
            # What has come to light since the admin looked was not agreed to, nor is what it belongs to.
            if agreed.issuperset(computer.finding_ids):
                chosen.setdefault(computer.workflow_id, []).append(computer)
        room = asyncio.Semaphore(_AT_ONCE)
        repaired = await asyncio.gather(*(self._take_away(id, chosen[id], room) for id in chosen))
        after = await _audit(request)
        return RepairResponse(
            repaired=tuple(one for several in repaired for one in several),
            after=_response(after),
        )

    async def _take_away(
        self, workflow_id: str, computers: list[signatures.OrphanedComputer], room: asyncio.Semaphore
    ) -> tuple[Repaired, ...]:
        async with room:
            try:
                response = await workflow.execute_child_workflow(
                    RemainsWorkflow.run,
                    RemainsRequest(computers=tuple(computers)),
                    id=workflow_id,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    static_summary=f"Take away what is left of {', '.join(_name(each) for each in computers)}",
                )
            except WorkflowAlreadyStartedError:
                reason = f"{workflow_id} has been started meanwhile; audit again"
            except ChildWorkflowError as error:
                if is_cancelled_exception(error):
                    raise
                reason = f"{error.cause}; look at the workflow {workflow_id}"
            else:
                return response.repaired
        return tuple(_repaired(each, reason) for each in computers)


@workflow.defn
class RemainsWorkflow:
    """Takes away what is left of one Cloud PC.

    It runs under the Cloud PC's own id: as long as it does, no Cloud PC of that id can be started, whose rights and
    session host it might take away.
    """

    @workflow.run
    async def run(self, request: RemainsRequest = NO_INPUT) -> RemainsResponse:
        """Take away what is left, one computer after the other."""
        computers = required(request, RemainsRequest).computers
        return RemainsResponse(repaired=tuple([await self._take_away(computer) for computer in computers]))

    async def _take_away(self, computer: signatures.OrphanedComputer) -> Repaired:
        """Take everything of one computer away, in the order of a deprovisioning.

        The first failure is the end: where a machine cannot be deleted, its devices are left to it.
        """
        only = signatures.CloudPcInput(cloud_pc=computer.cloud_pc)
        roles = signatures.RevokeRolesInput(roles=computer.roles)
        # A machine's disk and devices may be looked for by its name only where the machine, or its interface, is ours.
        has_resources = not RESOURCE_KINDS.isdisjoint(computer.kinds)
        try:
            if computer.domain:
                # While the machine is there: it is what reaches the domain.
                account = signatures.RemoveComputerAccountInput(cloud_pc=computer.cloud_pc, domain=computer.domain)
                await self._run(Step.REMOVE_COMPUTER_ACCOUNT, signatures.remove_computer_account, account, computer)
            if has_resources:
                await self._run(Step.DELETE_VIRTUAL_MACHINE, signatures.delete_virtual_machine, only, computer)
            if has_resources or PartKind.SESSION_HOST in computer.kinds:
                await self._run(Step.REMOVE_SESSION_HOST, signatures.remove_session_host, only, computer)
            if computer.roles:
                options: workflow.ActivityConfig = {**REVOKE_ROLES, "summary": f"revoke_roles · {_name(computer)}"}
                await workflow.execute_activity(signatures.revoke_roles, roles, **options)
            if has_resources or PartKind.DEVICE in computer.kinds:
                await self._run(Step.DELETE_MANAGED_DEVICE, signatures.delete_managed_device, only, computer)
                await self._run(Step.DELETE_ENTRA_DEVICE, signatures.delete_entra_device, only, computer)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            cause = error.cause
            is_told = isinstance(cause, ApplicationError)
            reason = f"{cause.type}: {cause.message}" if is_told else "no answer in time"
            return _repaired(computer, f"{error.activity_type}: {reason}")
        return _repaired(computer)

    @staticmethod
    async def _run(
        step: Step,
        activity: Callable[[_Input], Awaitable[signatures.StepResult]],
        request: _Input,
        computer: signatures.OrphanedComputer,
    ) -> None:
        options: workflow.ActivityConfig = {**ACTIVITY_OPTIONS[step], "summary": f"{step} · {_name(computer)}"}
        await workflow.execute_activity(activity, request, **options)


async def _audit(request: AuditRequest) -> signatures.AuditResult:
    wanted = signatures.AuditInput(connections=request.connections, older_than_minutes=request.older_than_minutes)
    return await workflow.execute_activity(signatures.audit, wanted, **AUDIT)


def _response(found: signatures.AuditResult) -> AuditResponse:
    namespace = workflow.info().namespace
    return AuditResponse(
        findings=found.findings, left_off=found.left_off, cloud_pcs=found.cloud_pcs, namespace=namespace
    )


def _name(computer: signatures.OrphanedComputer) -> str:
    return computer.cloud_pc.computer_name or "a user's rights"


def _repaired(computer: signatures.OrphanedComputer, reason: str = "") -> Repaired:
    return Repaired(workflow_id=computer.workflow_id, computer_name=_name(computer), is_gone=not reason, detail=reason)
