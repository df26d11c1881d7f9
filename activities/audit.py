"""The audit: what exists in Azure, Entra ID and Intune is compared with the Cloud PCs that there are.

Nothing is changed but by `revoke_roles`. What is ours is known by the tags of `activities.naming`, by the names
that `RoleAssignment` gives, and by the machine that an Entra device or a session host names.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from azure.core.exceptions import ResourceNotFoundError
from azure.core.rest import HttpRequest
from msgraph.generated.devices.devices_request_builder import DevicesRequestBuilder
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities import naming, search_attributes
from activities.assignment.role_assignments import (
    DESKTOP_VIRTUALIZATION_USER,
    VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN,
    VIRTUAL_MACHINE_USER_LOGIN,
    RoleAssignment,
    RoleAssignments,
)
from activities.concurrency import each
from activities.core_provisioning.domain_join import EXTENSION
from activities.devices import Device, Devices
from activities.errors import application_error
from activities.graph import advanced, listed
from activities.signatures import (
    AuditInput,
    AuditResult,
    CloudPcReference,
    OrphanedComputer,
    RevokeRolesInput,
    SignInRole,
    StepResult,
)
from cloud.clients import CloudClients
from models.audit import (
    MAX_FINDINGS,
    RESOURCE_KINDS,
    SUFFIXES,
    Finding,
    FindingState,
    Fleet,
    Inventory,
    Part,
    PartKind,
    Remains,
    group_of,
    judge,
    missing_parts,
    remains_of,
)
from models.azure_network_connection import ActiveDirectoryDomain
from models.cloud_pc import CloudPc, CloudPcStatus
from models.provisioning_policy import DomainJoinType

_RESOURCES_API = "2024-07-01"
"""api-version of Microsoft.Resources, for which no SDK is installed."""
_SESSION_HOSTS_API = "2024-04-03"
"""api-version in the command that removes a session host."""

_ANSWER_WITHIN = timedelta(seconds=10)
_AT_ONCE = 8
"""How many Cloud PCs, or devices, are asked about at the same time."""
_ATTEMPTS = 3
"""After so many attempts what cannot be read because of a passing failure is told as not checked."""

_KINDS = {
    "microsoft.compute/virtualmachines": PartKind.VIRTUAL_MACHINE,
    "microsoft.network/networkinterfaces": PartKind.NETWORK_INTERFACE,
    "microsoft.compute/disks": PartKind.DISK,
    "microsoft.compute/capacityreservationgroups": PartKind.CAPACITY_RESERVATION_GROUP,
    "microsoft.compute/capacityreservationgroups/capacityreservations": PartKind.CAPACITY_RESERVATION,
}
_LOGIN_ROLES = frozenset({VIRTUAL_MACHINE_USER_LOGIN, VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN})
_MACHINE_ID = re.compile(
    r"(?i)^(?P<group>/subscriptions/[^/]+/resourceGroups/[^/]+)/providers/Microsoft\.Compute/virtualMachines/(?P<name>[^/]+)$"
)
_RESOURCE_ID = "[AzureResourceId]:"
_CLOUD_PC_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}")
_GUID = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Json = dict[str, Any]
_Item = TypeVar("_Item")


class Audit:
    """Reads what exists and asks the Cloud PCs; the judgement is `models.audit`'s."""

    def __init__(self, clients: CloudClients) -> None:
        self._clients = clients
        self._devices = Devices(clients)
        self._roles = RoleAssignments(clients)

    @activity.defn
    async def audit(self, request: AuditInput) -> AuditResult:
        """Return what is orphaned, left over, missing or could not be read.

        Raises:
            RPCError: The Cloud PCs cannot be listed, without which nothing can be judged.

        """
        return await _Reading(self._clients, self._devices, request).result()

    @activity.defn
    async def revoke_roles(self, request: RevokeRolesInput) -> StepResult:
        """Take role assignments away; only those by the names that this product gives."""
        for role in request.roles:
            await self._roles.revoke(RoleAssignment(role.scope, role.role, role.user_id))
        return StepResult(detail=f"{len(request.roles)} revoked")


class _Reading:
    """One audit."""

    def __init__(self, clients: CloudClients, devices: Devices, request: AuditInput) -> None:
        self._clients = clients
        self._devices = devices
        self._request = request
        self._temporal: Client = activity.client()
        self._own_group = clients.settings.resource_group_id
        self._inventory = Inventory()
        self._machines: dict[str, Part | None] = {}
        """Every machine of the groups by its ARM id in lower case; None for one that is not ours."""

    async def result(self) -> AuditResult:
        fleet = await self._ask_fleet()
        await self._read(fleet)
        fleet = await self._ask_again(fleet)
        return self._judged(fleet)

    def _judged(self, fleet: Fleet) -> AuditResult:
        inventory, request = self._inventory, self._request
        orphans: list[Part] = []
        findings = [*inventory.not_checked, *(_silent(id, name) for id, name in fleet.silent.items())]
        for part in inventory.parts:
            match judge(fleet, part):
                case FindingState.ORPHAN:
                    orphans.append(part)
                case FindingState.LEFT_OVER:
                    findings.append(_left_over(part, fleet.owners(part)[0]))
                case _:
                    pass
        findings += missing_parts(fleet, inventory)
        orphaned: list[OrphanedComputer] = []
        older_than = timedelta(minutes=request.older_than_minutes)
        for remains in remains_of(fleet, orphans, inventory.foreign_disks, datetime.now(UTC), older_than):
            if len(findings) + len(remains.parts) > MAX_FINDINGS:
                remains = replace(remains, kept="more is found than can be shown; mend this first")
            findings += [_orphan(part, remains, fleet) for part in remains.parts]
            if not remains.kept:
                orphaned.append(_orphaned(remains))
        left_off = max(0, len(findings) - MAX_FINDINGS)
        return AuditResult(
            findings=tuple(findings[:MAX_FINDINGS]),
            left_off=left_off,
            orphaned=tuple(orphaned),
            cloud_pcs=len(fleet.cloud_pcs) + len(fleet.silent),
        )

    # The Cloud PCs.

    async def _ask_fleet(self) -> Fleet:
        """Ask every Cloud PC how it is."""
        names = {
            execution.id: execution.typed_search_attributes.get(search_attributes.COMPUTER_NAME) or ""
            async for execution in self._temporal.list_workflows(search_attributes.RUNNING)
        }
        since = activity.info().started_time
        return await self._asked(names, Fleet((), {}, since))

    async def _asked(self, names: dict[str, str], fleet: Fleet) -> Fleet:
        """Return the fleet with what these Cloud PCs say now in place of what they said."""
        said = {pc.id: pc for pc in fleet.cloud_pcs if pc.id not in names}
        silent = {id: name for id, name in fleet.silent.items() if id not in names}

        async def ask(id: str) -> None:
            handle = self._temporal.get_workflow_handle(id)
            try:
                description = await handle.describe(rpc_timeout=_ANSWER_WITHIN)
                if description.status != WorkflowExecutionStatus.RUNNING:
                    return
                # Where what is left of it is being taken away right now, this fails.
                said[id] = await handle.query("cloud_pc", result_type=CloudPc, rpc_timeout=_ANSWER_WITHIN)
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    silent[id] = names[id]
            except (WorkflowQueryFailedError, ApplicationError):
                silent[id] = names[id]

        await each(names, ask, at_once=_AT_ONCE)
        return Fleet(tuple(said.values()), silent, fleet.since)

    async def _ask_again(self, fleet: Fleet) -> Fleet:
        """Ask the Cloud PCs of which something is wrong: they may have been started or changed meanwhile."""
        names: dict[str, str] = {}
        for part in self._inventory.parts:
            if judge(fleet, part):
                names.setdefault(part.cloud_pc_id or f"{part.policy_id}-{part.user_id}", part.computer_name)
        for finding in missing_parts(fleet, self._inventory):
            names.setdefault(finding.cloud_pc_id or "", finding.computer_name)
        names.pop("-", None)
        return await self._asked(names, fleet)

    # What exists.

    async def _read(self, fleet: Fleet) -> None:
        groups = {self._own_group.casefold(): self._own_group}
        ids = [connection.resource_group_id for connection in self._request.connections]
        ids += [group_of(pc.virtual_machine_id) for pc in fleet.cloud_pcs if pc.virtual_machine_id]
        for id in filter(None, ids):
            groups.setdefault(id.casefold(), id)
        shared: list[Json] = []
        for id in groups.values():
            read = self._read_resources(id, shared)
            await self._try(read, PartKind.VIRTUAL_MACHINE, f"the resources of {id}", RESOURCE_KINDS)
        kinds = {PartKind.SESSION_HOST, PartKind.ASSIGNED_USER}
        if self._own_group.casefold() not in self._inventory.groups:
            # Which host pools and application groups there are is not known.
            self._inventory.unread |= {*kinds, PartKind.ROLE_ASSIGNMENT}
        await self._try(self._read_session_hosts(shared), PartKind.SESSION_HOST, "the host pools", kinds)
        for id in groups.values():
            read = self._read_roles(id, shared)
            await self._try(read, PartKind.ROLE_ASSIGNMENT, f"the role assignments at {id}", {PartKind.ROLE_ASSIGNMENT})
        for id in groups.values():
            await self._try(self._read_devices(id), PartKind.DEVICE, f"the devices of {id}", {PartKind.DEVICE})
        await self._try(self._read_hybrid(fleet), PartKind.DEVICE, "the hybrid-joined devices", {PartKind.DEVICE})
        kinds = {PartKind.MANAGED_DEVICE, PartKind.PRIMARY_USER}
        await self._try(self._read_managed(fleet), PartKind.MANAGED_DEVICE, "the managed devices", kinds)

    async def _try(self, reading: Awaitable[None], kind: PartKind, what: str, unread: Iterable[PartKind]) -> None:
        """Read something; what cannot be read is a finding, and keeps nothing else from being read."""
        attempt = activity.info().attempt
        try:
            await reading
        except Exception as error:
            failure = application_error(error, attempt)
            if failure is None or (not failure.non_retryable and attempt < _ATTEMPTS):
                raise
            self._inventory.unread |= set(unread)
            refused = failure.type in ("AuthorizationFailed", "Authorization_RequestDenied", "Forbidden")
            self._inventory.not_checked.append(
                Finding(
                    kind=kind,
                    state=FindingState.NOT_CHECKED,
                    id=what,
                    detail=f"{failure.type}: {failure.message}",
                    command="starter.py doctor" if refused else "starter.py audit",
                    kept="it could not be read",
                )
            )

    async def _read_resources(self, group_id: str, shared: list[Json]) -> None:
        """Read a resource group's resources; not filtered by a tag, for then their tags would not be told.

        Source: https://learn.microsoft.com/rest/api/resources/resources/list-by-resource-group
        """
        items = [item async for item in self._list_resources(group_id)]
        joining = f"/extensions/{EXTENSION}".casefold()
        ids = [str(item["id"]).casefold() for item in items]
        joined = {id.removesuffix(joining) for id in ids if id.endswith(joining)}
        made = {item["id"].casefold(): self._tagged(item, group_id, joined) for item in items}
        for item in _of_type(items, "microsoft.compute/virtualmachines"):
            self._machines[item["id"].casefold()] = made[item["id"].casefold()]
        parts = [part for part in made.values() if part]
        computers = {part.computer_name.casefold(): part for part in parts}
        for item in _of_type(items, "microsoft.compute/disks"):
            if made[item["id"].casefold()] is None:
                if disk := _untagged_disk(item, computers):
                    parts.append(disk)
                else:
                    self._inventory.foreign_disks.add(item["id"].casefold())
        self._inventory.parts += parts
        self._inventory.groups.add(group_id.casefold())
        if group_id.casefold() == self._own_group.casefold():
            shared += [item for item in items if _tags(item).get("managedBy") == naming.MANAGED_BY]

    async def _list_resources(self, group_id: str) -> AsyncIterator[Json]:
        params = {"api-version": _RESOURCES_API, "$expand": "createdTime"}
        request: HttpRequest | None = HttpRequest("GET", f"{group_id}/resources", params=params)
        while request:
            response: Any = await self._clients.resource_groups.get(group_id).compute.send_request(request)
            response.raise_for_status()
            page: Json = response.json()
            for item in page["value"]:
                yield item
            request = HttpRequest("GET", page["nextLink"]) if page.get("nextLink") else None

    def _tagged(self, item: Json, group_id: str, joined: set[str]) -> Part | None:
        """Return what a resource is of a Cloud PC, by its tags and its name; None for what is not ours."""
        kind, tags = _KINDS.get(str(item["type"]).casefold()), _tags(item)
        name = _name(item, -3) if kind == PartKind.CAPACITY_RESERVATION else _name(item, -1)
        suffix = SUFFIXES.get(
            PartKind.CAPACITY_RESERVATION_GROUP if kind == PartKind.CAPACITY_RESERVATION else kind or PartKind.CLOUD_PC,
            "",
        )
        if (
            kind is None
            or tags.get("managedBy") != naming.MANAGED_BY
            or not _CLOUD_PC_ID.fullmatch(tags.get("cloudPcId", ""))
            or not _CLOUD_PC_ID.fullmatch(tags.get("provisioningPolicyId", ""))
            or not _GUID.fullmatch(tags.get("userId", ""))
            or not name.endswith(suffix)
        ):
            return None
        return Part(
            kind=kind,
            id=item["id"],
            command=f"az resource delete --ids {item['id']}",
            computer_name=name.removesuffix(suffix),
            resource_group_id=group_id,
            cloud_pc_id=tags["cloudPcId"],
            policy_id=tags["provisioningPolicyId"],
            user_id=tags["userId"],
            region=str(item.get("location", "")),
            created=_time(item.get("createdTime")),
            is_domain_joined=item["id"].casefold() in joined,
        )

    async def _read_session_hosts(self, shared: list[Json]) -> None:
        """Read the session hosts of the host pools that this product has made."""
        hosts = self._clients.desktop_virtualization.session_hosts
        for pool in _of_type(shared, "microsoft.desktopvirtualization/hostpools"):
            async for found in hosts.list(self._clients.settings.resource_group, pool["name"]):
                host: Any = found
                self._inventory.assigned_users[host.id.casefold()] = host.assigned_user or ""
                url = f"{host.id}?api-version={_SESSION_HOSTS_API}&force=true"
                created = host.system_data.created_at if host.system_data else None
                self._add_of_machine(
                    host.resource_id or "",
                    kind=PartKind.SESSION_HOST,
                    id=host.id,
                    command=f'az rest --method DELETE --url "{url}"',
                    created=created or host.last_update_time,
                    policy_id=_tags(pool).get("provisioningPolicyId", ""),
                    region=pool["location"],
                )

    async def _read_roles(self, group_id: str, shared: list[Json]) -> None:
        """Read the role assignments in a resource group; ours bear the names that we give.

        Source: https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope
        """
        groups = {
            item["id"].casefold(): item
            for item in _of_type(shared, "microsoft.desktopvirtualization/applicationgroups")
        }
        assignments: Any = self._clients.authorization.role_assignments
        async for found in assignments.list_for_scope(group_id):
            scope, user = str(found.scope), str(found.principal_id)
            role = str(found.role_definition_id).rpartition("/")[2].lower()
            group = groups.get(scope.casefold())
            if (group and role == DESKTOP_VIRTUALIZATION_USER) or role in _LOGIN_ROLES:
                self._inventory.roles.add((scope.casefold(), user))
            if found.name != RoleAssignment(scope, role, user).name:
                continue
            facts: Json = {
                "kind": PartKind.ROLE_ASSIGNMENT,
                "id": found.id,
                "command": f"az role assignment delete --ids {found.id}",
                "created": found.created_on,
                "scope": scope,
                "role": role,
            }
            if group and role == DESKTOP_VIRTUALIZATION_USER:
                policy = _tags(group).get("provisioningPolicyId", "")
                self._inventory.parts.append(Part(**facts, policy_id=policy, user_id=user, region=group["location"]))
            elif role in _LOGIN_ROLES:
                self._add_of_machine(scope, user_id=user, **facts)

    async def _read_devices(self, group_id: str) -> None:
        """Read the Entra devices that name a machine of a resource group.

        Source: https://learn.microsoft.com/graph/aad-advanced-queries
        """
        start = f"{_RESOURCE_ID}{group_id}/"
        query = DevicesRequestBuilder.DevicesRequestBuilderGetQueryParameters(
            filter=f"physicalIds/any(p:startswith(p,'{start}'))",
            select=["id", "deviceId", "displayName", "physicalIds", "registrationDateTime"],
            count=True,
        )
        async for device in listed(self._clients.graph.devices, Device, advanced(query)):
            for physical_id in device.physical_ids or []:
                if physical_id.casefold().startswith(start.casefold()):
                    self._add_device(device, physical_id[len(_RESOURCE_ID) :])

    def _add_device(self, device: Device, machine_id: str) -> None:
        self._inventory.device_ids.add(device.device_id or "")
        self._add_of_machine(
            machine_id,
            kind=PartKind.DEVICE,
            id=device.id,
            command=self._graph_delete(f"devices/{device.id}"),
            created=device.registration_date_time or device.on_premises_last_sync_date_time,
            device_id=device.device_id or "",
        )

    def _add_of_machine(self, machine_id: str, **facts: Any) -> None:
        """Note something that names a machine, unless the machine is, or may be, somebody else's."""
        match = _MACHINE_ID.match(machine_id)
        if match is None or match["group"].casefold() not in self._inventory.groups:
            return
        if machine_id.casefold() not in self._machines:
            self._inventory.parts.append(Part(computer_name=match["name"], resource_group_id=match["group"], **facts))
        elif machine := self._machines[machine_id.casefold()]:
            owner: Json = {
                "computer_name": machine.computer_name,
                "resource_group_id": machine.resource_group_id,
                "cloud_pc_id": machine.cloud_pc_id,
                "policy_id": machine.policy_id,
                "user_id": machine.user_id,
            }
            self._inventory.parts.append(Part(**{**owner, **facts}))

    async def _read_hybrid(self, fleet: Fleet) -> None:
        """Read the devices of hybrid-joined machines, which are known by the names of Cloud PCs alone."""

        async def living(pc: CloudPc) -> None:
            for device in await self._devices.named(pc.computer_name):
                if self._devices.is_synchronised(device):
                    self._inventory.device_ids.add(device.device_id or "")

        async def orphaned(machine: Part) -> None:
            for device in await self._devices.named(machine.computer_name):
                if self._devices.is_synchronised(device):
                    self._add_device(device, machine.id)
            domain = await self._domain_of(machine)
            parts = self._inventory.parts
            parts[parts.index(machine)] = replace(machine, domain=domain)

        hybrid = [pc for pc in fleet.cloud_pcs if pc.join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN]
        await each([pc for pc in hybrid if pc.entra_device_id], living, at_once=_AT_ONCE)
        await each([part for part in self._orphans(fleet) if part.is_domain_joined], orphaned, at_once=_AT_ONCE)

    async def _domain_of(self, machine: Part) -> ActiveDirectoryDomain | None:
        """Return the domain that a machine's network reaches, by the connections that were given."""
        subnets = {
            connection.subnet_id.casefold(): connection.domain
            for connection in self._request.connections
            if connection.connection_type == DomainJoinType.HYBRID_AZURE_AD_JOIN
        }
        if not subnets:
            return None
        group = self._clients.resource_groups.get(machine.resource_group_id)
        interface = f"{machine.computer_name}{SUFFIXES[PartKind.NETWORK_INTERFACE]}"
        try:
            found: Any = await group.network.network_interfaces.get(group.name, interface)
        except ResourceNotFoundError:
            return None
        return subnets.get(str(found.properties.ip_configurations[0].properties.subnet.id).casefold())

    async def _read_managed(self, fleet: Fleet) -> None:
        """Read the managed devices and primary users of Cloud PCs, and the managed devices of orphaned devices."""

        async def living(pc: CloudPc) -> None:
            users = await self._primary_users(pc.managed_device_id or "")
            if users is None:
                # Enrolled a second time, it is another managed device.
                managed = await self._devices.managed(pc.entra_device_id or "")
                users = await self._primary_users(managed[0].id) if managed else None
            if users is not None:
                self._inventory.managed.add(pc.id)
                self._inventory.primary_users[pc.id] = next(iter(users), None)

        async def orphaned(device: Part) -> None:
            for managed in await self._devices.managed(device.device_id):
                self._inventory.parts.append(
                    replace(
                        device,
                        kind=PartKind.MANAGED_DEVICE,
                        id=managed.id,
                        command=self._graph_delete(f"deviceManagement/managedDevices/{managed.id}"),
                        created=managed.enrolled_date_time,
                    )
                )

        settled = (
            CloudPcStatus.PROVISIONED,
            CloudPcStatus.PROVISIONED_WITH_WARNINGS,
            CloudPcStatus.IN_GRACE_PERIOD,
        )
        await each(
            [pc for pc in fleet.cloud_pcs if pc.status in settled and not fleet.in_work(pc)], living, at_once=_AT_ONCE
        )
        await each([part for part in self._orphans(fleet) if part.kind == PartKind.DEVICE], orphaned, at_once=_AT_ONCE)

    async def _primary_users(self, managed_device_id: str) -> list[str] | None:
        """Return the ids of a managed device's primary users, none or one; None where there is no such device."""
        try:
            return await self._devices.primary_users(managed_device_id)
        except ODataError as error:
            if error.response_status_code != HTTPStatus.NOT_FOUND:
                raise
            return None

    def _orphans(self, fleet: Fleet) -> list[Part]:
        return [part for part in self._inventory.parts if judge(fleet, part) == FindingState.ORPHAN]

    def _graph_delete(self, path: str) -> str:
        return f"az rest --method DELETE --url {self._clients.settings.graph_url}/v1.0/{path}"


def _untagged_disk(item: Json, computers: dict[str, Part]) -> Part | None:
    """Return a disk without our tags that was made with a machine of ours, by its name and what it is attached to."""
    if _tags(item).get("managedBy"):
        return None
    name, suffix = _name(item, -1), SUFFIXES[PartKind.DISK]
    computer = computers.get(name.removesuffix(suffix).casefold())
    if computer is None or not name.endswith(suffix):
        return None
    machine_id = f"{computer.resource_group_id}/providers/Microsoft.Compute/virtualMachines/{computer.computer_name}"
    if str(item.get("managedBy") or machine_id).casefold() != machine_id.casefold():
        return None
    return replace(
        computer,
        kind=PartKind.DISK,
        id=item["id"],
        command=f"az resource delete --ids {item['id']}",
        created=_time(item.get("createdTime")),
        is_domain_joined=False,
    )


def _of_type(items: Iterable[Json], kind: str) -> list[Json]:
    return [item for item in items if str(item["type"]).casefold() == kind]


def _tags(item: Json) -> dict[str, str]:
    return item.get("tags") or {}


def _name(item: Json, place: int) -> str:
    parts = str(item["id"]).split("/")
    return parts[place]


def _time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _silent(id: str, computer_name: str) -> Finding:
    return Finding(
        kind=PartKind.CLOUD_PC,
        state=FindingState.NOT_CHECKED,
        id=id,
        cloud_pc_id=id,
        computer_name=computer_name,
        detail="its workflow does not answer, or takes it away now; nothing of it is judged",
        command=f"temporal workflow describe -w {id}",
        kept="nothing of it is judged",
    )


def _left_over(part: Part, pc: CloudPc) -> Finding:
    return Finding(
        kind=part.kind,
        state=FindingState.LEFT_OVER,
        id=part.id,
        cloud_pc_id=pc.id,
        computer_name=part.computer_name or pc.computer_name,
        created_date_time=part.created,
        detail="its Cloud PC is failed and could not be taken away wholly",
        command=f"starter.py reprovision {pc.id}",
        kept="its Cloud PC takes it away when it is reprovisioned or deprovisioned",
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
