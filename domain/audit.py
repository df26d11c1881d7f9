"""What exists of Cloud PCs, held against the Cloud PCs that there are: orphans, leftovers and missing parts.

Nothing here asks anybody: `activities.audit` reads, `judge` and `remains_of` decide.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain import naming
from domain.status import is_settled
from models.audit import Finding, FindingState, PartKind
from models.azure_network_connection import ActiveDirectoryDomain
from models.cloud_pc import CloudPc, CloudPcStatus
from models.provisioning_policy import DomainJoinType
from models.types import ResourceId

RESOURCE_KINDS = frozenset(
    {
        PartKind.VIRTUAL_MACHINE,
        PartKind.NETWORK_INTERFACE,
        PartKind.DISK,
        PartKind.CAPACITY_RESERVATION,
        PartKind.CAPACITY_RESERVATION_GROUP,
    }
)
"""The kinds that the list of a resource group's resources shows."""

SUFFIXES = {
    PartKind.NETWORK_INTERFACE: naming.NETWORK_INTERFACE_SUFFIX,
    PartKind.DISK: naming.OS_DISK_SUFFIX,
    PartKind.CAPACITY_RESERVATION_GROUP: naming.CAPACITY_RESERVATION_GROUP_SUFFIX,
}
"""What the name of a part has after the computer's name."""


@dataclass(frozen=True)
class Part:
    """Something that exists, and that was made for a Cloud PC."""

    kind: PartKind
    id: str
    command: str
    """What deletes it by hand."""
    computer_name: str = ""
    """Empty for a right at an application group, which is the user's and no machine's."""
    resource_group_id: str = ""
    """ARM id of the resource group of the machine."""
    cloud_pc_id: str | None = None
    """By its tag, or the tag of its machine; None where neither is there."""
    policy_id: str = ""
    user_id: str = ""
    region: str = ""
    created: datetime | None = None
    scope: str = ""
    """Of a role assignment: ARM id at which the role holds."""
    role: str = ""
    """Of a role assignment: GUID of the role definition."""
    is_domain_joined: bool = False
    """Of a machine: it was told to join an Active Directory domain."""
    domain: ActiveDirectoryDomain | None = None
    """Of such a machine: the domain, where the connection of its network is known."""
    device_id: str = ""
    """Of an Entra device: its `deviceId`."""


@dataclass(frozen=True)
class Fleet:
    """The Cloud PCs that there are.

    Attributes:
        cloud_pcs: What each says of itself.
        silent: Computer names of those that do not answer, by their id.
        since: When the reading began; what settled later may differ from what was read.

    """

    cloud_pcs: tuple[CloudPc, ...]
    silent: Mapping[str, str]
    since: datetime

    def in_progress(self, pc: CloudPc) -> bool:
        """Tell whether a Cloud PC is being changed, or was while things were being read."""
        ends = [step.end_date_time for step in pc.steps if step.end_date_time]
        return not is_settled(pc) or max(ends, default=self.since) > self.since

    def owners(self, part: Part) -> list[CloudPc]:
        """Return the Cloud PCs that a part may belong to."""
        name = part.computer_name.casefold()
        found = [pc for pc in self.cloud_pcs if pc.id == part.cloud_pc_id]
        if not found and name:
            found = [pc for pc in self.cloud_pcs if pc.computer_name.casefold() == name]
        if not found and not name:
            found = [pc for pc in self.cloud_pcs if (pc.policy_id, pc.user.id) == (part.policy_id, part.user_id)]
        return found

    def is_silent(self, part: Part) -> bool:
        """Tell whether a part may belong to a Cloud PC that does not answer."""
        if part.computer_name:
            names = {name.casefold() for name in self.silent.values()}
            return part.cloud_pc_id in self.silent or part.computer_name.casefold() in names
        # Whose right it is, only those that answer tell.
        return bool(self.silent)


@dataclass
class Inventory:
    """What was read.

    Attributes:
        parts: Everything that was made for a Cloud PC.
        not_checked: What could not be read, one finding each.
        unread: The kinds that could not be read, so that none of them is missing.
        groups: ARM ids, in lower case, of the resource groups that were read.
        foreign_disks: ARM ids, in lower case, of the disks that are not ours, whatever their names.
        assigned_users: The user that each session host is assigned to, by its ARM id in lower case.
        primary_users: The object id of each managed device's primary user, by the Cloud PC's id; None for nobody.
        managed: Ids of the Cloud PCs that Intune manages.
        device_ids: `deviceId` of every Entra device that is a Cloud PC's.
        roles: Pairs of scope in lower case and user with a role there.

    """

    parts: list[Part] = field(default_factory=list[Part])
    not_checked: list[Finding] = field(default_factory=list[Finding])
    unread: set[PartKind] = field(default_factory=set[PartKind])
    groups: set[str] = field(default_factory=set[str])
    foreign_disks: set[str] = field(default_factory=set[str])
    assigned_users: dict[str, str] = field(default_factory=dict[str, str])
    primary_users: dict[str, str | None] = field(default_factory=dict[str, str | None])
    managed: set[str] = field(default_factory=set[str])
    device_ids: set[str] = field(default_factory=set[str])
    roles: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def add(self, other: "Inventory") -> None:
        """Add what another one holds."""
        self.parts += other.parts
        self.not_checked += other.not_checked
        self.unread |= other.unread
        self.groups |= other.groups
        self.foreign_disks |= other.foreign_disks
        self.assigned_users |= other.assigned_users
        self.primary_users |= other.primary_users
        self.managed |= other.managed
        self.device_ids |= other.device_ids
        self.roles |= other.roles


def judge(fleet: Fleet, part: Part) -> FindingState | None:
    """Return what is wrong with something that exists: `ORPHAN`, `LEFT_OVER` or nothing.

    Of a Cloud PC that is in progress, or that does not answer, nothing is judged.
    """
    owners = fleet.owners(part)
    if fleet.is_silent(part) or any(fleet.in_progress(pc) for pc in owners):
        return None
    if part.computer_name:
        own = [pc for pc in owners if pc.computer_name.casefold() == part.computer_name.casefold()]
    else:
        own = [pc for pc in owners if pc.region == part.region]
    if not own:
        return FindingState.ORPHAN
    return FindingState.LEFT_OVER if all(pc.status == CloudPcStatus.FAILED for pc in own) else None


def missing_parts(fleet: Fleet, inventory: Inventory) -> list[Finding]:
    """Return what the provisioned Cloud PCs should have and have not, or have otherwise."""
    ids = {part.id.casefold() for part in inventory.parts}
    found: list[Finding] = []
    for pc in fleet.cloud_pcs:
        if fleet.in_progress(pc) or pc.status == CloudPcStatus.FAILED or pc.virtual_machine_id is None:
            continue
        for kind, id, state, detail in _wanted(pc, inventory, ids):
            if kind not in inventory.unread:
                found.append(
                    Finding(
                        kind=kind,
                        state=state,
                        id=id,
                        cloud_pc_id=pc.id,
                        computer_name=pc.computer_name,
                        detail=detail,
                        command=f"starter.py reprovision {pc.id}",
                        kept="--repair makes nothing",
                    )
                )
    return found


def _wanted(pc: CloudPc, inventory: Inventory, ids: set[str]) -> Iterable[tuple[PartKind, str, FindingState, str]]:
    """Yield what a provisioned Cloud PC lacks: kind, what was looked for, what is wrong, and in words."""
    machine_id = pc.virtual_machine_id or ""
    group_id = ResourceId.parse(machine_id).group_id
    missing, different = FindingState.MISSING, FindingState.DIFFERENT
    if group_id.casefold() in inventory.groups:
        for kind, id in (
            (PartKind.VIRTUAL_MACHINE, machine_id),
            (PartKind.NETWORK_INTERFACE, naming.network_interface_id(group_id, pc.computer_name)),
            (PartKind.DISK, naming.os_disk_id(group_id, pc.computer_name)),
        ):
            if id.casefold() not in ids:
                yield kind, id, missing, "does not exist"
    hosts = {id: user for id, user in inventory.assigned_users.items() if _is_host(id, pc)}
    if not hosts:
        yield PartKind.SESSION_HOST, f"{pc.host_pool}/{pc.session_host}", missing, "the host pool has none"
    for id, user in hosts.items():
        if user.casefold() != pc.user.user_principal_name.casefold():
            yield PartKind.ASSIGNED_USER, id, different, f"assigned to {user or 'nobody'}"
    is_hybrid = pc.join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN
    scopes = [f"/applicationgroups/{naming.application_group_name(pc.policy_id, pc.region)}".casefold()]
    scopes += [] if is_hybrid else [machine_id.casefold()]
    for scope in scopes:
        if not any(user == pc.user.id and at.endswith(scope) for at, user in inventory.roles):
            what = "the user has no role that lets them sign in there"
            yield PartKind.ROLE_ASSIGNMENT, scope, missing, what
    if (pc.entra_device_id or "") not in inventory.device_ids:
        yield PartKind.DEVICE, pc.entra_device_id or "", missing, "Entra ID has no such device"
    if pc.id not in inventory.managed:
        yield PartKind.MANAGED_DEVICE, pc.managed_device_id or "", missing, "Intune has no such device"
    elif inventory.primary_users.get(pc.id) != pc.user.id:
        user = inventory.primary_users.get(pc.id)
        yield PartKind.PRIMARY_USER, pc.managed_device_id or "", different, f"the primary user is {user or 'nobody'}"


def _is_host(id: str, pc: CloudPc) -> bool:
    return id.endswith(f"/hostpools/{pc.host_pool}/sessionhosts/{pc.session_host}".casefold())


@dataclass(frozen=True)
class Remains:
    """The orphans of one computer, which are removed together.

    Attributes:
        workflow_id: Id of the workflow that may remove them: the Cloud PC's, so that none of that id can be
            started until then, unless one lives by it under another computer name.
        parts: What exists.
        kept: Why they are not removed now; empty where they may be.

    """

    workflow_id: str
    parts: tuple[Part, ...]
    kept: str

    def fact(self, name: str) -> str:
        """Return the first value that a part has under a name."""
        return next((value for part in self.parts if (value := getattr(part, name))), "")


def remains_of(
    fleet: Fleet, orphans: Iterable[Part], foreign_disks: set[str], now: datetime, older_than: timedelta
) -> list[Remains]:
    """Return the orphans by the computers they are of, and which of them are old enough to be removed.

    Args:
        fleet: The Cloud PCs that there are.
        orphans: What was judged to be an orphan.
        foreign_disks: ARM ids, in lower case, of disks that are not ours: a machine is deleted with the disk that
            has its name, so that one keeps it.
        now: The present.
        older_than: What is younger is kept, with all that belongs to it, and what has an unknown age too.

    """
    groups: dict[tuple[str, str], list[Part]] = {}
    rights: list[Part] = []
    for part in orphans:
        if part.computer_name:
            groups.setdefault((part.resource_group_id.casefold(), part.computer_name.casefold()), []).append(part)
        else:
            rights.append(part)
    living = {pc.id for pc in fleet.cloud_pcs}
    for right in rights:
        # With the machine of that user where there is one, else by itself.
        whose = (right.policy_id, right.user_id)
        key = next(
            (key for key, parts in groups.items() if any((part.policy_id, part.user_id) == whose for part in parts)),
            ("", naming.cloud_pc_id(right.policy_id, right.user_id)),
        )
        groups.setdefault(key, []).append(right)
    made: list[Remains] = []
    for parts in groups.values():
        computer = next((part.computer_name for part in parts if part.computer_name), "")
        known = next((part.cloud_pc_id for part in parts if part.cloud_pc_id), None)
        owner = known or (naming.cloud_pc_id(parts[0].policy_id, parts[0].user_id) if not computer else "")
        workflow_id = owner if owner and owner not in living else f"{owner}/remains/{computer}".lstrip("/")
        ordered = tuple(sorted(parts, key=lambda part: list(PartKind).index(part.kind)))
        resource = next((part for part in ordered if part.kind in RESOURCE_KINDS), None)
        group_id = resource.resource_group_id if resource else ""
        disk = naming.os_disk_id(group_id, computer)
        kept = "a disk of its name is not ours" if disk.casefold() in foreign_disks else ""
        made.append(Remains(workflow_id, ordered, kept or _kept(ordered, now, older_than)))
    return sorted(made, key=lambda remains: (remains.workflow_id, remains.fact("computer_name")))


def _kept(parts: tuple[Part, ...], now: datetime, older_than: timedelta) -> str:
    minutes = older_than.total_seconds() / 60
    if any(part.created is None for part in parts):
        return "its age, or that of what belongs to it, is not known"
    if any(part.created and now - part.created < older_than for part in parts):
        return f"it, or what belongs to it, is younger than {minutes:g} minutes"
    if any(part.is_domain_joined and part.domain is None for part in parts):
        return "its computer account is in a domain; give the file of its connection by --connection"
    return ""
