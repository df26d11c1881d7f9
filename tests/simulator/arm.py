"""What the tests of the simulated Resource Manager make again and again."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import pytest
from azure.core import AsyncPipelineClient
from azure.core.exceptions import HttpResponseError, ODataV4Format
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.identity.aio import EnvironmentCredential

from cloud.clients import CloudClients
from cloud.settings import Settings
from simulator.cloud import RESOURCE_GROUP, SUBSCRIPTION_ID, Cloud

GROUP_ID = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{RESOURCE_GROUP}"
PASSWORD = "Correct-Horse-7"


def network_id(kind: str, name: str) -> str:
    """Return the ARM id of a network resource."""
    return f"{GROUP_ID}/providers/Microsoft.Network/{kind}/{name}"


@dataclass(frozen=True)
class Clients:
    """The SDK clients of one subscription.

    They are untyped: the operations take bodies as plain JSON, which their overloads do not have, and every attribute
    of what they answer is optional.
    """

    settings: Settings
    compute: Any
    network: Any
    authorization: Any
    desktop_virtualization: Any


class Refusal(Protocol):
    """The SDK's error with what Azure Resource Manager says in every one, which the SDK's own type has as optional."""

    status_code: int | None
    message: str
    error: ODataV4Format
    response: AsyncHttpResponse


class Arm:
    """The simulated cloud and clients for it."""

    def __init__(self, cloud: Cloud, clients: CloudClients) -> None:
        self.cloud = cloud
        self._all = clients
        self.clients = self.of(GROUP_ID)

    def of(self, group_id: str) -> Clients:
        """Return the clients of the subscription of a resource group."""
        clients, group = self._all, self._all.resource_groups.get(group_id)
        return Clients(
            settings=clients.settings,
            compute=group.compute,
            network=group.network,
            authorization=clients.authorization,
            desktop_virtualization=clients.desktop_virtualization,
        )

    def made(self) -> list[str]:
        """Return the full types of what is in the resource group, each once."""
        inventory = self.cloud.resources.inventory()
        return [kind for kind, ids in inventory.items() if any(id.startswith(f"{GROUP_ID}/") for id in ids)]

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> AsyncHttpResponse:
        """Send a request as it is, with a token, and return the answer."""
        url = self.clients.settings.resource_manager_url
        async with EnvironmentCredential() as credential:
            policy = AsyncBearerTokenCredentialPolicy(credential, f"{url}/.default")
            async with AsyncPipelineClient[HttpRequest, AsyncHttpResponse](url, policies=[policy]) as client:
                return await client.send_request(HttpRequest(method, f"{url}{path}", json=body))

    async def network(self, *, prefix: str = "10.0.0.0/24") -> None:
        """Make the network `vnet` with subnet `pcs` behind a NAT gateway."""
        network = self.clients.network
        common = {"location": "westeurope", "sku": {"name": "Standard"}}
        public = {**common, "properties": {"publicIPAllocationMethod": "Static"}}
        await (await network.public_ip_addresses.begin_create_or_update(RESOURCE_GROUP, "pip", public)).result()
        addresses = {"publicIpAddresses": [{"id": network_id("publicIPAddresses", "pip")}]}
        gateway = {**common, "properties": addresses}
        await (await network.nat_gateways.begin_create_or_update(RESOURCE_GROUP, "nat", gateway)).result()
        subnet = {"addressPrefix": prefix, "natGateway": {"id": network_id("natGateways", "nat")}}
        body = {
            "location": "westeurope",
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                "subnets": [{"name": "pcs", "properties": subnet}],
            },
        }
        await (await network.virtual_networks.begin_create_or_update(RESOURCE_GROUP, "vnet", body)).result()

    async def interface(self, name: str) -> Any:
        """Make a network interface in that subnet, which is made when it is missing."""
        subnet_id = network_id("virtualNetworks", "vnet/subnets/pcs")
        if self.cloud.resources.get(subnet_id) is None:
            await self.network()
        body = interface_body(subnet_id)
        operations = self.clients.network.network_interfaces
        return await (await operations.begin_create_or_update(RESOURCE_GROUP, name, body)).result()

    async def machine(self, name: str, **changes: Any) -> Any:
        """Make a virtual machine with its interface `{name}-nic`."""
        await self.interface(f"{name}-nic")
        operations = self.clients.compute.virtual_machines
        body = machine_body(name, **changes)
        return await (await operations.begin_create_or_update(RESOURCE_GROUP, name, body)).result()

    async def join(self, name: str, settings: dict[str, Any] | None = None) -> Any:
        """Install `AADLoginForWindows` on a machine."""
        operations = self.clients.compute.virtual_machine_extensions
        body = entra_join_body(settings)
        return await (await operations.begin_create_or_update(RESOURCE_GROUP, name, "join", body)).result()

    async def run(self, machine: str, name: str, script: str, **properties: Any) -> Any:
        """Run a script by a managed run command and return its instance view."""
        operations = self.clients.compute.virtual_machine_run_commands
        body = run_command_body(script, **properties)
        await (await operations.begin_create_or_update(RESOURCE_GROUP, machine, name, body)).result()
        command = await operations.get_by_virtual_machine(RESOURCE_GROUP, machine, name, expand="instanceView")
        return command.properties.instance_view


def interface_body(subnet_id: str, **properties: Any) -> dict[str, Any]:
    """Return the body of a network interface with one IP configuration."""
    configuration = {"name": "primary", "properties": {"subnet": {"id": subnet_id}, **properties}}
    return {"location": "westeurope", "properties": {"ipConfigurations": [configuration]}}


def machine_body(name: str, **changes: Any) -> dict[str, Any]:
    """Return the body of a virtual machine, with some of its properties replaced.

    `zones` and `identity` go to the top level, everything else into `properties`.
    """
    body: dict[str, Any] = {"location": "westeurope", "identity": {"type": "SystemAssigned"}}
    body |= {key: changes.pop(key) for key in ("zones", "identity", "location", "tags") if key in changes}
    body["properties"] = {
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "licenseType": "Windows_Client",
        "securityProfile": {"securityType": "TrustedLaunch"},
        "storageProfile": {
            "imageReference": {
                "publisher": "MicrosoftWindowsDesktop",
                "offer": "windows-11",
                "sku": "win11-24h2-ent",
                "version": "latest",
            },
            "osDisk": {"createOption": "FromImage", "name": f"{name}-disk", "deleteOption": "Delete"},
        },
        "osProfile": {"computerName": name, "adminUsername": "cloudpcadmin", "adminPassword": PASSWORD},
        "networkProfile": {
            "networkInterfaces": [
                {"id": network_id("networkInterfaces", f"{name}-nic"), "properties": {"deleteOption": "Delete"}}
            ]
        },
        **changes,
    }
    return body


def entra_join_body(settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of the extension that joins a machine to Entra ID."""
    return {
        "location": "westeurope",
        "properties": {
            "publisher": "Microsoft.Azure.ActiveDirectory",
            "type": "AADLoginForWindows",
            "typeHandlerVersion": "1.0",
            "autoUpgradeMinorVersion": True,
            "settings": settings or {},
        },
    }


def run_command_body(script: str, **properties: Any) -> dict[str, Any]:
    """Return the body of a managed run command."""
    return {"location": "westeurope", "properties": {"source": {"script": script}, **properties}}


async def refusal(request: Awaitable[Any]) -> Refusal:
    """Return the error with which a request fails; the result of what it began is awaited, too."""
    with pytest.raises(HttpResponseError) as failure:
        poller = await request
        if hasattr(poller, "result"):
            await poller.result()
    assert failure.value.error is not None and failure.value.response is not None
    return cast(Refusal, failure.value)


async def code_of(request: Awaitable[Any]) -> tuple[int | None, str]:
    """Return HTTP status and ARM code with which a request fails."""
    error = await refusal(request)
    return error.status_code, error.error.code or ""
