"""The audit: what should not exist, what is missing, and on demand the removal of what is orphaned."""

import asyncio
from typing import Annotated, Any

from pydantic import Field
from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError, is_cancelled_exception

from contract import steps
from contract.activity import Activity, CloudPcInput
from contract.audit import AuditInput, AuditResult, OrphanedComputer
from contract.deprovisioning import RemoveComputerAccountInput, RevokeRolesInput
from contract.errors import ActivityFailedError, read_failure
from domain.audit import RESOURCE_KINDS
from models.audit import MAX_REPAIRED, OLDER_THAN, Finding, PartKind
from models.azure_network_connection import AzureNetworkConnection
from models.base import GraphModel, WorkflowInput
from models.cloud_pc import Stage
from workflows import runner
from workflows.messages import NO_INPUT, required

_AT_ONCE = 10
"""How many Cloud PCs' remains are removed at the same time."""


class AuditRequest(WorkflowInput):
    """What is to be looked through."""

    connections: tuple[AzureNetworkConnection, ...] = ()
    """Azure network connections whose resource groups no Cloud PC tells: it may be of them that something is left."""
    older_than_minutes: float = OLDER_THAN
    """Age below which `--repair` removes nothing."""


class AuditResponse(GraphModel):
    """Everything that is not as it should be."""

    findings: tuple[Finding, ...]
    left_off: int = 0
    """How many more findings there are; the next audit shows them when these are repaired."""
    cloud_pcs: int
    """How many Cloud PCs there are."""
    namespace: str
    """The Temporal namespace that knows them."""


class RepairRequest(AuditRequest):
    """What the admin has seen and agreed to."""

    finding_ids: tuple[str, ...]
    """The orphans that may be removed."""
    max_computers: Annotated[int, Field(ge=0)] = MAX_REPAIRED
    """How many computers may be removed; where there are more, none is."""


class Repaired(GraphModel):
    """What came of the orphans of one computer."""

    workflow_id: str
    """Id of the workflow that removed them."""
    computer_name: str
    is_gone: bool
    detail: str = ""
    """Why it is not gone."""


class RepairResponse(GraphModel):
    """What was removed, and what an audit finds afterwards."""

    repaired: tuple[Repaired, ...]
    after: AuditResponse


class RemainsRequest(WorkflowInput):
    """Orphans that may be removed, of one Cloud PC."""

    computers: tuple[OrphanedComputer, ...]


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
    """Removes orphans that an admin has seen, after looking once more whether they still are orphans."""

    @workflow.run
    async def run(self, request: RepairRequest = NO_INPUT) -> RepairResponse:
        """Remove what is still an orphan, old enough and agreed to; the rest stays as it is."""
        request = required(request, RepairRequest)
        found = await _audit(request)
        agreed = set(request.finding_ids)
        chosen: dict[str, list[OrphanedComputer]] = {}
        for computer in found.orphaned:
            # What has come to light since the admin looked was not agreed to, nor is what it belongs to.
            if agreed.issuperset(computer.finding_ids):
                chosen.setdefault(computer.workflow_id, []).append(computer)
        number = sum(map(len, chosen.values()))
        if number > request.max_computers:
            # From a wrong or a rebuilt namespace a whole fleet looks orphaned.
            reason = f"{number} computers would be removed, more than --max {request.max_computers}: none was"
            kept = tuple(_repaired(computer, reason) for several in chosen.values() for computer in several)
            return RepairResponse(repaired=kept, after=_response(found))
        room = asyncio.Semaphore(_AT_ONCE)
        repaired = await asyncio.gather(*(self._remove(id, chosen[id], room) for id in chosen))
        after = await _audit(request)
        return RepairResponse(
            repaired=tuple(one for several in repaired for one in several),
            after=_response(after),
        )

    async def _remove(
        self, workflow_id: str, computers: list[OrphanedComputer], room: asyncio.Semaphore
    ) -> tuple[Repaired, ...]:
        async with room:
            try:
                response = await workflow.execute_child_workflow(
                    RemainsWorkflow.run,
                    RemainsRequest(computers=tuple(computers)),
                    id=workflow_id,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    static_summary=f"Remove what is left of {', '.join(_name(each) for each in computers)}",
                )
            except WorkflowAlreadyStartedError:
                reason = f"{workflow_id} has been started since; audit again"
            except ChildWorkflowError as error:
                if is_cancelled_exception(error):
                    raise
                reason = f"{read_failure(error).message}; look at the workflow {workflow_id}"
            else:
                return response.repaired
        return tuple(_repaired(each, reason) for each in computers)


@workflow.defn
class RemainsWorkflow:
    """Removes what is left of one Cloud PC.

    It runs under the Cloud PC's own id: as long as it does, no Cloud PC of that id can be started, whose rights and
    session host it might remove.
    """

    @workflow.run
    async def run(self, request: RemainsRequest = NO_INPUT) -> RemainsResponse:
        """Remove what is left, one computer after the other."""
        computers = required(request, RemainsRequest).computers
        return RemainsResponse(repaired=tuple([await self._remove(computer) for computer in computers]))

    async def _remove(self, computer: OrphanedComputer) -> Repaired:
        """Remove everything of one computer, in the order of a deprovisioning.

        The first failure is the end: where a machine cannot be deleted, its devices are left to it.
        """
        requests = _requests_of(computer)
        for step in steps.steps_of(Stage.DEPROVISIONING):
            if step not in requests:
                continue
            activity, request = requests[step]
            try:
                await runner.run(activity, request, about=_name(computer))
            except ActivityFailedError as error:
                return _repaired(computer, f"{error.activity}: {error.why.code}: {error.why.message}")
        return _repaired(computer)


def _requests_of(computer: OrphanedComputer) -> dict[Activity[Any, Any], tuple[Activity[Any, Any], GraphModel]]:
    """Return which steps of a deprovisioning an orphan needs, each with the activity that does it and its input."""
    only = CloudPcInput(cloud_pc=computer.cloud_pc)
    requests: dict[Activity[Any, Any], tuple[Activity[Any, Any], GraphModel]] = {}

    def needs(step: Activity[Any, Any], request: GraphModel = only, by: Activity[Any, Any] | None = None) -> None:
        requests[step] = (by or step, request)

    if computer.domain:
        account = RemoveComputerAccountInput(cloud_pc=computer.cloud_pc, domain=computer.domain)
        needs(steps.REMOVE_COMPUTER_ACCOUNT, account)
    # A machine's disk and devices may be looked for by its name only where the machine, or its interface, is ours.
    has_resources = not RESOURCE_KINDS.isdisjoint(computer.kinds)
    if has_resources:
        needs(steps.DELETE_VIRTUAL_MACHINE)
    if has_resources or PartKind.SESSION_HOST in computer.kinds:
        needs(steps.REMOVE_SESSION_HOST)
    if computer.roles:
        # By what the audit has found, for a role may be of a user and no machine.
        needs(steps.REMOVE_ROLE_ASSIGNMENTS, RevokeRolesInput(roles=computer.roles), by=steps.REVOKE_ROLES)
    if has_resources or PartKind.DEVICE in computer.kinds:
        needs(steps.DELETE_MANAGED_DEVICE)
        needs(steps.DELETE_ENTRA_DEVICE)
    return requests


async def _audit(request: AuditRequest) -> AuditResult:
    wanted = AuditInput(connections=request.connections, older_than_minutes=request.older_than_minutes)
    return await runner.run(steps.AUDIT, wanted)


def _response(found: AuditResult) -> AuditResponse:
    namespace = workflow.info().namespace
    return AuditResponse(
        findings=found.findings, left_off=found.left_off, cloud_pcs=found.cloud_pcs, namespace=namespace
    )


def _name(computer: OrphanedComputer) -> str:
    return computer.cloud_pc.computer_name or "a user's rights"


def _repaired(computer: OrphanedComputer, reason: str = "") -> Repaired:
    return Repaired(workflow_id=computer.workflow_id, computer_name=_name(computer), is_gone=not reason, detail=reason)
