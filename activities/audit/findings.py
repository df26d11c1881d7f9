"""From what exists and the Cloud PCs that there are to the findings, each with the command that repairs it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from contract.audit import AuditResult, OrphanedComputer
from contract.deprovisioning import SignInRole
from domain.audit import Fleet, Inventory, Part, Remains, judge, missing_parts, remains_of
from models.audit import MAX_FINDINGS, Finding, FindingState, PartKind
from models.cloud_pc import CloudPc, CloudPcReference
from models.provisioning_policy import DomainJoinType


def result_of(fleet: Fleet, inventory: Inventory, older_than: timedelta) -> AuditResult:
    """Return the audit's result.

    Args:
        fleet: The Cloud PCs that there are.
        inventory: What exists.
        older_than: Age below which nothing may be removed.

    """
    judged = [(judge(fleet, part), part) for part in inventory.parts]
    findings = [*inventory.not_checked, *(_silent(id, name) for id, name in fleet.silent.items())]
    findings += [_left_over(part, fleet.owners(part)[0]) for state, part in judged if state == FindingState.LEFT_OVER]
    findings += missing_parts(fleet, inventory)
    orphans = [part for state, part in judged if state == FindingState.ORPHAN]
    orphaned: list[OrphanedComputer] = []
    for remains in _bounded(
        remains_of(fleet, orphans, inventory.foreign_disks, datetime.now(UTC), older_than), len(findings)
    ):
        findings += [_orphan(part, remains, fleet) for part in remains.parts]
        if not remains.kept:
            orphaned.append(_orphaned(remains))
    return AuditResult(
        findings=tuple(findings[:MAX_FINDINGS]),
        left_off=max(0, len(findings) - MAX_FINDINGS),
        orphaned=tuple(orphaned),
        cloud_pcs=len(fleet.cloud_pcs) + len(fleet.silent),
    )


def _bounded(all_remains: Iterable[Remains], shown: int) -> Iterable[Remains]:
    """Yield remains; what would not be shown is kept, since nobody could agree to it."""
    for remains in all_remains:
        shown += len(remains.parts)
        if shown > MAX_FINDINGS:
            yield replace(remains, kept="more is found than can be shown; repair this first")
        else:
            yield remains


def _silent(id: str, computer_name: str) -> Finding:
    return Finding(
        kind=PartKind.CLOUD_PC,
        state=FindingState.NOT_CHECKED,
        id=id,
        cloud_pc_id=id,
        computer_name=computer_name,
        detail="its workflow does not answer, or is removing it now; its parts are not judged",
        command=f"temporal workflow describe -w {id}",
        kept="its parts are not judged",
    )


def _left_over(part: Part, pc: CloudPc) -> Finding:
    return Finding(
        kind=part.kind,
        state=FindingState.LEFT_OVER,
        id=part.id,
        cloud_pc_id=pc.id,
        computer_name=part.computer_name or pc.computer_name,
        created_date_time=part.created,
        detail="its Cloud PC is failed and could not be removed completely",
        command=f"starter.py reprovision {pc.id}",
        kept="its Cloud PC removes it when it is reprovisioned or deprovisioned",
    )


def _orphan(part: Part, remains: Remains, fleet: Fleet) -> Finding:
    owner = next((pc for pc in fleet.cloud_pcs if pc.id == part.cloud_pc_id), None)
    if owner:
        detail = f"its Cloud PC is {owner.computer_name} now"
    elif part.cloud_pc_id:
        detail = "there is no Cloud PC of that id"
    else:
        detail = "there is no Cloud PC of that computer name" if part.computer_name else "the user has no such Cloud PC"
    return Finding(
        kind=part.kind,
        state=FindingState.ORPHAN,
        id=part.id,
        cloud_pc_id=part.cloud_pc_id,
        computer_name=part.computer_name,
        created_date_time=part.created,
        detail=detail,
        command=part.command,
        kept=remains.kept,
    )


def _orphaned(remains: Remains) -> OrphanedComputer:
    parts = remains.parts
    machine = next((part for part in parts if part.is_domain_joined), None)
    # A session host is found in its pool, whose policy and region its machine's tags may no longer tell.
    host = next((part for part in parts if part.kind == PartKind.SESSION_HOST), None)
    return OrphanedComputer(
        workflow_id=remains.workflow_id,
        cloud_pc=CloudPcReference(
            cloud_pc_id=remains.fact("cloud_pc_id"),
            policy_id=host.policy_id if host else remains.fact("policy_id"),
            user_id=remains.fact("user_id"),
            computer_name=remains.fact("computer_name"),
            region=host.region if host else remains.fact("region"),
            resource_group_id=remains.fact("resource_group_id") or None,
            domain_join_type=DomainJoinType.HYBRID_AZURE_AD_JOIN if machine else DomainJoinType.AZURE_AD_JOIN,
            entra_device_id=remains.fact("device_id") or None,
        ),
        roles=tuple(
            SignInRole(scope=part.scope, role=part.role, user_id=part.user_id)
            for part in parts
            if part.kind == PartKind.ROLE_ASSIGNMENT
        ),
        domain=machine.domain if machine else None,
        kinds=tuple(dict.fromkeys(part.kind for part in parts)),
        finding_ids=tuple(part.id for part in parts),
    )
