"""The audit: what exists in Azure, Entra ID and Intune is compared with the Cloud PCs that there are.

Nothing is changed. What is ours is known by the tags of `domain.naming`, by the names that `RoleAssignment` gives, and
by the machine that an Entra device or a session host names.
"""

from collections.abc import Awaitable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from temporalio import activity

from activities.audit.cloud_pcs import ask, ask_fleet
from activities.audit.findings import result_of
from activities.audit.readers.devices import HybridDevices, read_devices, read_hybrid_devices
from activities.audit.readers.machines import Machines
from activities.audit.readers.managed_devices import read_managed_devices
from activities.audit.readers.resources import GroupResources, read_resources
from activities.audit.readers.roles import read_roles
from activities.audit.readers.session_hosts import read_session_hosts
from cloud.clients import CloudClients
from cloud.errors import application_error
from contract import steps
from contract.audit import AuditInput, AuditResult
from contract.errors import MISSING_RIGHT
from domain.audit import RESOURCE_KINDS, Fleet, Inventory, Part, judge, missing_parts
from domain.naming import cloud_pc_id
from domain.status import LIVING
from models.audit import Finding, FindingState, PartKind
from models.provisioning_policy import DomainJoinType
from models.types import ResourceId, same_id

_ATTEMPTS = 3
"""After so many attempts what cannot be read because of a passing failure is reported as not checked."""
_T = TypeVar("_T")


class Audit:
    """Asks the Cloud PCs and gathers what the readers have read; the judgement is `domain.audit`'s."""

    def __init__(self, clients: CloudClients) -> None:
        self._clients = clients

    @steps.AUDIT.implemented_by
    async def audit(self, request: AuditInput) -> AuditResult:
        """Return what is orphaned, left over, missing or could not be read.

        Raises:
            RPCError: The Cloud PCs cannot be listed, without which nothing can be judged.

        """
        client = activity.client()
        fleet = await ask_fleet(client)
        inventory = await self._gathered(request, fleet)
        # Cloud PCs of which something seems wrong may have been started or changed since they were asked.
        fleet = await ask(client, _suspected(fleet, inventory), fleet)
        return result_of(fleet, inventory, timedelta(minutes=request.older_than_minutes))

    async def _gathered(self, request: AuditInput, fleet: Fleet) -> Inventory:
        inventory, clients = Inventory(), self._clients
        own_id = clients.settings.resource_group_id
        groups: list[GroupResources] = []
        for id in _group_ids(own_id, request, fleet):
            what = f"the resources of {id}"
            read = await _tried(inventory, read_resources(clients, id), PartKind.VIRTUAL_MACHINE, what, RESOURCE_KINDS)
            groups += [read] if read else []
        for group in groups:
            inventory.parts += group.parts
            inventory.foreign_disks |= group.foreign_disks
            inventory.groups.add(group.group_id.casefold())
        machines = Machines(
            frozenset(inventory.groups), {id: part for group in groups for id, part in group.machines.items()}
        )
        own = next((group for group in groups if same_id(group.group_id, own_id)), None)
        await self._gather_desktops(inventory, own, machines)
        for id in _group_ids(own_id, request, fleet):
            application_groups = own.application_groups if own else []
            read_them = read_roles(clients, id, application_groups, machines)
            what, kinds = f"the role assignments at {id}", {PartKind.ROLE_ASSIGNMENT}
            _merge(inventory, await _tried(inventory, read_them, PartKind.ROLE_ASSIGNMENT, what, kinds))
        await self._gather_devices(inventory, request, fleet, machines)
        return inventory

    async def _gather_desktops(self, inventory: Inventory, own: GroupResources | None, machines: Machines) -> None:
        kinds = {PartKind.SESSION_HOST, PartKind.ASSIGNED_USER}
        if own is None:
            # Which host pools and application groups there are is not known.
            inventory.unread |= {*kinds, PartKind.ROLE_ASSIGNMENT}
            return
        read = read_session_hosts(self._clients, own.host_pools, machines)
        _merge(inventory, await _tried(inventory, read, PartKind.SESSION_HOST, "the host pools", kinds))

    async def _gather_devices(
        self, inventory: Inventory, request: AuditInput, fleet: Fleet, machines: Machines
    ) -> None:
        clients, kind = self._clients, PartKind.DEVICE
        for id in _group_ids(clients.settings.resource_group_id, request, fleet):
            read = read_devices(clients, id, machines)
            _merge(inventory, await _tried(inventory, read, kind, f"the devices of {id}", {kind}))
        hybrid = [pc for pc in fleet.cloud_pcs if pc.join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN]
        read_them = read_hybrid_devices(
            clients,
            [pc for pc in hybrid if pc.entra_device_id],
            [part for part in _orphans(fleet, inventory) if part.is_domain_joined],
            request.connections,
            machines,
        )
        joined = await _tried(inventory, read_them, kind, "the hybrid-joined devices", {kind}) or HybridDevices()
        _merge(inventory, joined.inventory)
        domains = joined.domains
        inventory.parts = [
            replace(part, domain=domains[part.id]) if part.id in domains else part for part in inventory.parts
        ]
        managed = read_managed_devices(
            clients,
            [pc for pc in fleet.cloud_pcs if pc.status in LIVING and not fleet.in_progress(pc)],
            [part for part in _orphans(fleet, inventory) if part.kind == kind],
        )
        kinds = {PartKind.MANAGED_DEVICE, PartKind.PRIMARY_USER}
        _merge(inventory, await _tried(inventory, managed, PartKind.MANAGED_DEVICE, "the managed devices", kinds))


async def _tried(
    inventory: Inventory, reading: Awaitable[_T], kind: PartKind, what: str, unread: Iterable[PartKind]
) -> _T | None:
    """Return what was read; what cannot be read is a finding, and keeps nothing else from being read."""
    attempt = activity.info().attempt
    try:
        return await reading
    except Exception as error:
        failure = application_error(error, attempt)
        if failure is None or (not failure.non_retryable and attempt < _ATTEMPTS):
            raise
    inventory.unread |= set(unread)
    inventory.not_checked.append(
        Finding(
            kind=kind,
            state=FindingState.NOT_CHECKED,
            id=what,
            detail=f"{failure.type}: {failure.message}",
            command="starter.py doctor" if failure.type in MISSING_RIGHT else "starter.py audit",
            kept="it could not be read",
        )
    )
    return None


def _merge(inventory: Inventory, read: Inventory | None) -> None:
    if read is not None:
        inventory.add(read)


def _group_ids(own: str, request: AuditInput, fleet: Fleet) -> list[str]:
    """Return the resource groups to be read: the worker's own, those of the connections, and those of the Cloud PCs."""
    ids = [own, *(connection.resource_group_id or own for connection in request.connections)]
    ids += [ResourceId.parse(pc.virtual_machine_id).group_id for pc in fleet.cloud_pcs if pc.virtual_machine_id]
    groups: dict[str, str] = {}
    for id in ids:
        groups.setdefault(id.casefold(), id)
    return list(groups.values())


def _orphans(fleet: Fleet, inventory: Inventory) -> list[Part]:
    return [part for part in inventory.parts if judge(fleet, part) == FindingState.ORPHAN]


def _suspected(fleet: Fleet, inventory: Inventory) -> dict[str, str]:
    """Return the computer names of the Cloud PCs of which something seems wrong, by their ids."""
    names: dict[str, str] = {}
    for part in inventory.parts:
        if judge(fleet, part):
            names.setdefault(part.cloud_pc_id or cloud_pc_id(part.policy_id, part.user_id), part.computer_name)
    for finding in missing_parts(fleet, inventory):
        names.setdefault(finding.cloud_pc_id or "", finding.computer_name)
    names.pop(cloud_pc_id("", ""), None)
    return names
