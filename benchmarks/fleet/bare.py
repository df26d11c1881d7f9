"""The physical limit: a plain asyncio script that makes the product's requests, by the same clients, in the same order.

No engine, no retries, no resuming, nobody to look at it: what it takes is what Azure, Graph and the clients take.
`python -m benchmarks.fleet.bare --group ID`, with the worker's environment; the cloud must be new.
"""

import argparse
import asyncio
import json
import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from async_lru import alru_cache
from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters
from azure.mgmt.desktopvirtualization.models import (
    ApplicationGroup,
    HostPool,
    HostPoolPatch,
    RegistrationInfoPatch,
    SessionHostPatch,
    Workspace,
)
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from msgraph.generated.device_management.managed_devices.managed_devices_request_builder import (
    ManagedDevicesRequestBuilder,
)
from msgraph.generated.devices.devices_request_builder import DevicesRequestBuilder
from msgraph.generated.groups.item.members.graph_user.graph_user_request_builder import GraphUserRequestBuilder

from benchmarks.fleet.stack import REGION
from cloud.arm.run_commands import script_text
from cloud.clients import CloudClients, cloud_clients
from cloud.concurrency import each
from cloud.graph.devices import Device, ManagedDevice
from cloud.graph.lists import Entity, advanced, listed
from cloud.settings import Settings
from contract import steps
from contract.activity import AnyStep

_AT_ONCE = 100
"""Cloud PCs at the same time: a worker works on so many steps of a queue."""
_SIZE = "Standard_D2as_v5"
_POOL, _GROUP, _WORKSPACE = "hp-bare", "ag-bare", "ws-bare"
_SCRIPTS = (
    steps.HIDE_START_MENU_POWER_ICONS,
    steps.DISABLE_WINDOWS_RESET,
    steps.SET_TEAMS_VDI_MODE,
    steps.ENABLE_TIME_ZONE_REDIRECTION,
    steps.RESIZE_OS_DISK_PARTITION,
    steps.DISABLE_PORT_3389,
)
_ROLES = ("1d18fff3-a72a-46b5-b4a9-0b38a3cd7e63", "fb879df8-f326-4884-b1cf-06f3ad86be52")


class _Member(Entity):
    user_principal_name: str


class Script:
    """Makes Cloud PCs one step after the other, as the policy of `benchmarks.fleet.stack` wants them."""

    def __init__(self, clients: CloudClients) -> None:
        group = clients.resource_groups.get()
        self._compute: Any = group.compute
        self._network: Any = group.network
        self._desktops: Any = clients.desktop_virtualization
        self._roles: Any = clients.authorization.role_assignments
        self._graph, self._adapter = clients.graph, clients.graph_adapter
        self._graph_url = clients.settings.graph_url
        self._group, self._group_id = group.name, group.id
        self._interval = clients.settings.poll_interval
        # What all need alike is read once for a while, and made once.
        self._capacity = alru_cache(ttl=30)(self._read_capacity)
        self._image = alru_cache(ttl=300)(self._read_image)
        self._subnet = alru_cache(ttl=60)(self._make_subnet)
        self._pool = alru_cache(ttl=60)(self._make_pool)

    async def members(self, group_id: str) -> list[Any]:
        """Return the users in a group."""
        query = GraphUserRequestBuilder.GraphUserRequestBuilderGetQueryParameters(
            count=True, top=999, select=["id", "userPrincipalName", "assignedPlans"]
        )
        builder = self._graph.groups.by_group_id(group_id).members.graph_user
        return [user async for user in listed(builder, _Member, advanced(query))]

    async def user(self, name: str) -> Any:
        """Return a user."""
        return await self._graph.users.by_user_id(name).get()

    async def provision(self, user: Any) -> None:
        """Make the Cloud PC of a user."""
        name = f"BARE-{uuid.uuid4().hex[:8].upper()}"
        await self._devices(name)
        _, interface_id = await asyncio.gather(self._capacity(), self._interface(name))
        machine = await self._machine(name, interface_id)
        await self._put(self._compute.virtual_machine_extensions, (name, "AADLoginForWindows"), _extension())
        while not (devices := await self._devices(name)):
            await asyncio.sleep(self._interval)
        while not (managed := await self._managed(devices[0].device_id)):
            await asyncio.sleep(self._interval)
        await self._assign_primary_user(managed.id, user.id)
        await asyncio.gather(*(self._run(name, step.activity_id, _text(step)) for step in _SCRIPTS))
        await self._register(name)
        for scope, role in zip((self._application_group_id, machine.id), _ROLES, strict=True):
            await self._grant(scope, role, user.id)
        ids = (self._group, _POOL, name)
        await self._desktops.session_hosts.get(*ids)
        patch = SessionHostPatch(assigned_user=user.user_principal_name)
        await self._desktops.session_hosts.update(*ids, session_host=patch)
        commands = self._compute.virtual_machine_run_commands
        for command in [found.name async for found in commands.list_by_virtual_machine(self._group, name)]:
            await (await commands.begin_delete(self._group, name, command)).result()

    async def _devices(self, name: str) -> list[Any]:
        query = DevicesRequestBuilder.DevicesRequestBuilderGetQueryParameters(
            filter=f"displayName eq '{name}'", select=["id", "deviceId", "displayName", "physicalIds"]
        )
        configuration = RequestConfiguration(query_parameters=query)
        return [device async for device in listed(self._graph.devices, Device, configuration)]

    async def _read_capacity(self) -> None:
        async for _ in self._compute.resource_skus.list(filter=f"location eq '{REGION}'"):
            pass
        async for _ in self._compute.usage.list(REGION):
            pass

    async def _read_image(self) -> None:
        await self._compute.virtual_machine_images.get(
            REGION, "microsoftwindowsdesktop", "windows-11", "win11-24h2-ent", "latest"
        )

    async def _make_subnet(self) -> str:
        async for network in self._network.virtual_networks.list(self._group):
            if network.name == "vnet-bare":
                return network.properties.subnets[0].id
        standard = {"location": REGION, "sku": {"name": "Standard"}}
        static = {**standard, "properties": {"publicIPAllocationMethod": "Static"}}
        address = await self._put(self._network.public_ip_addresses, ("pip-bare",), static)
        behind = {**standard, "properties": {"publicIpAddresses": [{"id": address.id}]}}
        gateway = await self._put(self._network.nat_gateways, ("nat-bare",), behind)
        closed = {"location": REGION, "properties": {"securityRules": []}}
        security_group = await self._put(self._network.network_security_groups, ("nsg-bare",), closed)
        subnet = {
            "addressPrefix": "10.64.0.0/17",
            "natGateway": {"id": gateway.id},
            "networkSecurityGroup": {"id": security_group.id},
        }
        spaces = {"addressPrefixes": ["10.64.0.0/16"]}
        subnets = [{"name": "cloud-pcs", "properties": subnet}]
        body = {"location": REGION, "properties": {"addressSpace": spaces, "subnets": subnets}}
        made = await self._put(self._network.virtual_networks, ("vnet-bare",), body)
        return made.properties.subnets[0].id

    async def _interface(self, name: str) -> str:
        subnet = {"id": await self._subnet()}
        configuration = {"name": "primary", "properties": {"primary": True, "subnet": subnet}}
        body = {"location": REGION, "properties": {"ipConfigurations": [configuration]}}
        return (await self._put(self._network.network_interfaces, (f"{name}-nic",), body)).id

    async def _machine(self, name: str, interface_id: str) -> Any:
        await self._image()
        await self._network.network_interfaces.get(self._group, f"{name}-nic")
        return await self._put(self._compute.virtual_machines, (name,), _machine(name, interface_id))

    async def _put(self, operations: Any, names: tuple[str, ...], body: dict[str, Any]) -> Any:
        """Look, as a careful script does, and put what is not there."""
        try:
            return await operations.get(self._group, *names)
        except ResourceNotFoundError:
            return await (await operations.begin_create_or_update(self._group, *names, body)).result()

    async def _managed(self, device_id: str) -> Any:
        query = ManagedDevicesRequestBuilder.ManagedDevicesRequestBuilderGetQueryParameters(
            filter=f"azureADDeviceId eq '{device_id}'"
        )
        builder = self._graph.device_management.managed_devices
        found = [item async for item in listed(builder, ManagedDevice, RequestConfiguration(query_parameters=query))]
        return next((device for device in found if device.management_state == "managed"), None)

    async def _assign_primary_user(self, device_id: str, user_id: str) -> None:
        users = self._graph.device_management.managed_devices.by_managed_device_id(device_id).users
        _ = [user async for user in listed(users, Entity)]
        reference = RequestInformation(
            Method.POST, "{+baseurl}/deviceManagement/managedDevices/{id}/users/$ref", {"id": device_id}
        )
        body = {"@odata.id": f"{self._graph_url}/beta/users/{user_id}"}
        reference.set_stream_content(json.dumps(body).encode(), "application/json")
        await self._adapter.send_no_response_content_async(reference, {})
        named: list[str] = []
        while named != [user_id]:
            await asyncio.sleep(self._interval)
            named = [user.id async for user in listed(users, Entity)]

    async def _run(self, name: str, command: str, script: str, secrets: dict[str, str] | None = None) -> None:
        commands = self._compute.virtual_machine_run_commands
        ids = (self._group, name, command)
        await _found(commands.get_by_virtual_machine(*ids, expand="instanceView"))
        protected = [{"name": key, "value": value} for key, value in (secrets or {}).items()]
        body = {
            "location": REGION,
            "properties": {"source": {"script": script}, "protectedParameters": protected, "timeoutInSeconds": 600},
        }
        await (await commands.begin_create_or_update(*ids, body)).result()
        view = (await commands.get_by_virtual_machine(*ids, expand="instanceView")).properties.instance_view
        if view.execution_state != "Succeeded" or view.exit_code != 0:
            raise RuntimeError(f"{command} on {name}: {view.error}")

    async def _register(self, name: str) -> None:
        await self._session_host(name)
        await self._pool()
        token = await self._token()
        agent = script_text("activities.assignment", "install_avd_agent.ps1")
        await self._run(name, "install-avd-agent", agent, {"RegistrationToken": token})
        while not ((host := await self._session_host(name)) and host.status in ("Available", "NeedsAssistance")):
            await asyncio.sleep(self._interval)

    async def _session_host(self, name: str) -> Any:
        return await _found(self._desktops.session_hosts.get(self._group, _POOL, name))

    async def _make_pool(self) -> None:
        pools, groups, workspaces = (
            self._desktops.host_pools,
            self._desktops.application_groups,
            self._desktops.workspaces,
        )
        pool = await _found(pools.get(self._group, _POOL))
        group = await _found(groups.get(self._group, _GROUP))
        workspace = await _found(workspaces.get(self._group, _WORKSPACE))
        if pool is None:
            body = HostPool(
                location=REGION,
                host_pool_type="Personal",
                personal_desktop_assignment_type="Direct",
                load_balancer_type="Persistent",
                preferred_app_group_type="Desktop",
                custom_rdp_property="enablerdsaadauth:i:1;",
            )
            pool = await pools.create_or_update(self._group, _POOL, body)
            renewal = RegistrationInfoPatch(
                expiration_time=datetime.now(UTC) + timedelta(hours=24),
                registration_token_operation="Update",  # noqa: S106 - the name of an operation
            )
            await pools.update(self._group, _POOL, HostPoolPatch(registration_info=renewal))
        if group is None:
            body = ApplicationGroup(location=REGION, host_pool_arm_path=pool.id, application_group_type="Desktop")
            await groups.create_or_update(self._group, _GROUP, body)
        if workspace is None:
            body = Workspace(location=REGION, application_group_references=[self._application_group_id])
            await workspaces.create_or_update(self._group, _WORKSPACE, body)

    async def _token(self) -> str:
        return (await self._desktops.host_pools.retrieve_registration_token(self._group, _POOL)).token

    async def _grant(self, scope: str, role: str, user_id: str) -> None:
        subscription = self._group_id.partition("/resourceGroups/")[0]
        body = RoleAssignmentCreateParameters(
            role_definition_id=f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}",
            principal_id=user_id,
            principal_type="User",
        )
        await self._roles.create(scope, str(uuid.uuid4()), body)

    @property
    def _application_group_id(self) -> str:
        return f"{self._group_id}/providers/Microsoft.DesktopVirtualization/applicationGroups/{_GROUP}"


async def _found(request: Any) -> Any:
    try:
        return await request
    except ResourceNotFoundError:
        return None


def _text(step: AnyStep) -> str:
    return script_text("activities.post_provisioning", f"{step}.ps1")


def _extension() -> dict[str, Any]:
    return {
        "location": REGION,
        "properties": {
            "publisher": "Microsoft.Azure.ActiveDirectory",
            "type": "AADLoginForWindows",
            "typeHandlerVersion": "1.0",
            "autoUpgradeMinorVersion": True,
            "settings": {"mdmId": "0000000a-0000-0000-c000-000000000000"},
        },
    }


def _machine(name: str, interface_id: str) -> dict[str, Any]:
    image = {
        "publisher": "microsoftwindowsdesktop",
        "offer": "windows-11",
        "sku": "win11-24h2-ent",
        "version": "latest",
    }
    return {
        "location": REGION,
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "hardwareProfile": {"vmSize": _SIZE},
            "licenseType": "Windows_Client",
            "securityProfile": {
                "securityType": "TrustedLaunch",
                "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
            },
            "storageProfile": {
                "imageReference": image,
                "osDisk": {"createOption": "FromImage", "deleteOption": "Delete", "diskSizeGB": 128},
            },
            "osProfile": {
                "computerName": name,
                "adminUsername": "cloudpcadmin",
                "adminPassword": f"aA1-{uuid.uuid4()}",
                "windowsConfiguration": {"provisionVMAgent": True},
            },
            "networkProfile": {
                "networkInterfaces": [{"id": interface_id, "properties": {"primary": True, "deleteOption": "Delete"}}]
            },
        },
    }


async def _main(group_id: str | None, user: str) -> None:
    settings = Settings.from_environment(os.environ)
    async with cloud_clients(settings) as clients:
        script = Script(clients)
        started, cpu = time.perf_counter(), time.process_time()
        users = await script.members(group_id) if group_id else [await script.user(user)]
        await each(users, script.provision, at_once=_AT_ONCE)
        print(json.dumps({"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet.bare", description=__doc__)
    parser.add_argument("--group", help="object id of the group whose members get a Cloud PC")
    parser.add_argument("--user", default="ada@contoso.com", help="who gets one, where there is no group")
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.group, arguments.user))
