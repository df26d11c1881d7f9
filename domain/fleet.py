"""Which Cloud PCs a provisioning policy's groups and their licences ask for, against those that there are.

Source of the rules: https://learn.microsoft.com/windows-365/enterprise/provisioning and
https://learn.microsoft.com/troubleshoot/windows-365/windows-365-enterprise-cloud-pcs-grace-period-issue
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain import naming
from models.azure_network_connection import AzureNetworkConnection
from models.cloud_pc import CloudPcStatus, User
from models.fleet import Change, FleetPlan, PlannedChange
from models.provisioning_policy import Assignment, DomainJoinType, ProvisioningPolicy
from models.service_plan import ServicePlan, ServicePlanCatalogue

INTUNE_PLANS = frozenset(
    {
        "c1ec4a95-1f05-45b3-a911-aa3fa01094f5",
        "3e170737-c728-4eae-bbb9-3f3360f7184c",
        "2dc63b8a-df3d-448f-b683-8655877c9360",
    }
)
"""Service plans that license a user for Intune: INTUNE_A, INTUNE_A_VL, INTUNE_B.

Source: https://learn.microsoft.com/entra/identity/users/licensing-service-plan-reference
"""
MAX_ENTRIES = 300
"""How many Cloud PCs a plan names; of the others it says how many there are."""


@dataclass(frozen=True)
class Member:
    """A member of an assigned group.

    Attributes:
        user: Who it is.
        service_plan_ids: GUIDs of the service plans that their licences grant.
        account_enabled: Whether they can sign in.
        is_synchronized: Whether the account comes from Active Directory.

    """

    user: User
    service_plan_ids: frozenset[str]
    account_enabled: bool
    is_synchronized: bool


@dataclass(frozen=True)
class KnownCloudPc:
    """A Cloud PC that there is, as Temporal's visibility store knows it.

    Attributes:
        id: Its id.
        policy_id: The policy that it was made from.
        user_id: Its user's Entra object id.
        user_principal_name: Its user.
        status: How it is.
        service_plan: Id of its plan.
        settings: `settings_version` of what it was made from, or None when it is not known.
        is_assigned: It was made because of an assignment, and not by hand.
        grace_period_end: When it is removed, or None outside a grace period.

    """

    id: str
    policy_id: str
    user_id: str
    user_principal_name: str
    status: str
    service_plan: str
    settings: str | None
    is_assigned: bool
    grace_period_end: datetime | None


@dataclass
class Decision:
    """Every Cloud PC and member, by what becomes of it.

    Attributes:
        create: Users that get a Cloud PC, with their plan.
        leave: Cloud PCs whose user has lost the licence or left the groups.
        stay: Cloud PCs whose user has come back in the grace period.
        changes: Everything that happens, kept Cloud PCs included.

    """

    create: list[tuple[User, ServicePlan]] = field(default_factory=list[tuple[User, ServicePlan]])
    leave: list[KnownCloudPc] = field(default_factory=list[KnownCloudPc])
    stay: list[KnownCloudPc] = field(default_factory=list[KnownCloudPc])
    changes: list[PlannedChange] = field(default_factory=list[PlannedChange])

    def plan(self, notes: Sequence[str]) -> FleetPlan:
        """Return it as it is shown."""
        counts = dict.fromkeys(Change, 0)
        for planned in self.changes:
            counts[planned.change] += 1
        told = [planned for planned in self.changes if planned.change != Change.KEPT or planned.reason]
        return FleetPlan(
            counts=counts,
            changes=tuple(told[:MAX_ENTRIES]),
            left_off=max(0, len(told) - MAX_ENTRIES),
            created=dict(Counter(plan.id for _, plan in self.create)),
            grace_period_starts=len(self.leave),
            notes=tuple(notes),
        )


def settings_version(policy: ProvisioningPolicy, connections: Iterable[AzureNetworkConnection]) -> str:
    """Return a short digest of what a Cloud PC is made from; it changes with every setting that shows on the Cloud PC.

    Whom the policy is assigned to and how long they may stay is no such setting.
    """
    not_of_the_pc = {
        "assignments",
        "description",
        "grace_period_in_hours",
        "grace_period_ceiling",
        "reconcile_interval_in_minutes",
    }
    parts = [policy.model_dump_json(exclude=not_of_the_pc), *(each.model_dump_json() for each in connections)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def decide(
    policy: ProvisioningPolicy,
    settings: str,
    service_plans: ServicePlanCatalogue,
    members: Sequence[tuple[Assignment, Sequence[Member]]],
    cloud_pcs: Iterable[KnownCloudPc],
) -> Decision:
    """Compare who should have a Cloud PC of the policy with who has one.

    Args:
        policy: The policy as it is applied.
        settings: Its `settings_version`.
        service_plans: Every plan that can be assigned.
        members: The assigned groups' own members, in the assignments' order.
        cloud_pcs: Every Cloud PC that there is, of whichever policy.

    """
    decision = Decision()
    wanted, refused = _wanted(policy, service_plans, members)
    own: dict[str, KnownCloudPc] = {}
    elsewhere: dict[str, str] = {}
    for pc in cloud_pcs:
        if pc.policy_id == policy.id:
            own[pc.user_id] = pc
        else:
            elsewhere[pc.user_id] = pc.policy_id
    for pc in own.values():
        known = wanted.get(pc.user_id)
        change, reason = _change_of(pc, known[1] if known else None, settings, policy.grace_period_in_hours)
        if change in (Change.GRACE_PERIOD_STARTED, Change.TAKEN_AWAY) and pc.status != CloudPcStatus.DEPROVISIONING:
            decision.leave.append(pc)
            reason = refused.get(pc.user_id, (None, "not in the assigned groups any more"))[1]
        elif change == Change.GRACE_PERIOD_CANCELLED:
            decision.stay.append(pc)
        decision.changes.append(_planned(change, pc.user_principal_name, pc.id, pc.service_plan, reason))
    for member, plan in wanted.values():
        user = member.user
        if user.id in own:
            continue
        id, name = naming.cloud_pc_id(policy.id, user.id), user.user_principal_name
        reason = _obstacle(member, policy, elsewhere.get(user.id))
        if reason:
            decision.changes.append(_planned(Change.NOT_PROVISIONED, name, id, plan.id, reason))
        else:
            decision.create.append((user, plan))
            decision.changes.append(_planned(Change.CREATED, name, id, plan.id))
    for user_id, (name, reason) in refused.items():
        if user_id not in own and name:
            decision.changes.append(
                _planned(Change.NOT_PROVISIONED, name, naming.cloud_pc_id(policy.id, user_id), "", reason)
            )
    return decision


def _wanted(
    policy: ProvisioningPolicy,
    service_plans: ServicePlanCatalogue,
    members: Sequence[tuple[Assignment, Sequence[Member]]],
) -> tuple[dict[str, tuple[Member, ServicePlan]], dict[str, tuple[str, str]]]:
    """Return who should have a Cloud PC with their plan, and why other members should not, by the users' ids."""
    by_licence = sorted(
        (plan for plan in service_plans.service_plans if plan.service_plan_id),
        key=lambda plan: (plan.v_cpu_count, plan.ram_in_gb, plan.storage_in_gb),
        reverse=True,
    )
    wanted: dict[str, tuple[Member, ServicePlan]] = {}
    refused: dict[str, tuple[str, str]] = {}
    for assignment, people in members:
        named = service_plans.find(assignment.service_plan_id) if assignment.service_plan_id else None
        for member in people:
            plan = named or next((plan for plan in by_licence if plan.service_plan_id in member.service_plan_ids), None)
            if plan is None:
                refused[member.user.id] = (member.user.user_principal_name, "no licence of a service plan")
            else:
                wanted.setdefault(member.user.id, (member, plan))
    return wanted, {id: why for id, why in refused.items() if id not in wanted}


def _change_of(pc: KnownCloudPc, plan: ServicePlan | None, settings: str, hours: int) -> tuple[Change, str]:
    """Return what becomes of a Cloud PC whose user should have one of this plan, or none."""
    if pc.status == CloudPcStatus.DEPROVISIONING:
        return Change.TAKEN_AWAY, "being removed"
    if plan is None and pc.is_assigned:
        if pc.grace_period_end:
            return Change.IN_GRACE_PERIOD, f"until {pc.grace_period_end:%Y-%m-%d %H:%M} UTC"
        return (Change.GRACE_PERIOD_STARTED if hours else Change.TAKEN_AWAY), ""
    if plan is None:
        return Change.KEPT, "provisioned by hand"
    if pc.grace_period_end:
        return Change.GRACE_PERIOD_CANCELLED, "the user is assigned again"
    if pc.settings != settings:
        return Change.CHANGED_ON_NEXT_REPROVISION, "the policy has other settings now"
    if pc.service_plan != plan.id:
        return Change.KEPT, f"assigned {plan.id} now: to change the size, deprovision it"
    return Change.KEPT, ""


def _obstacle(member: Member, policy: ProvisioningPolicy, other_policy: str | None) -> str:
    """Return why a member cannot get a Cloud PC now, or nothing."""
    if other_policy:
        return f"has a Cloud PC of the policy {other_policy}"
    if not member.account_enabled:
        return "the account is disabled"
    if INTUNE_PLANS.isdisjoint(member.service_plan_ids):
        return "no Intune licence"
    if policy.domain_join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN and not member.is_synchronized:
        return "the account is not synchronised from Active Directory"
    return ""


def _planned(change: Change, user: str, id: str, plan: str, reason: str = "") -> PlannedChange:
    return PlannedChange(change=change, user_principal_name=user, cloud_pc_id=id, service_plan=plan, reason=reason)
