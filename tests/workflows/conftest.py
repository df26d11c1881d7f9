"""A worker on a simulated cloud, and what tests do with a Cloud PC there."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RawValue

from cloud.clients import CloudClients
from contract import search_attributes
from contract.activity import AnyStep
from domain.status import is_settled
from models.azure_network_connection import AzureNetworkConnection
from models.cloud_pc import CloudPc, CloudPcRequest, CloudPcStatus, StepStatus, User
from models.documents import load_service_plans
from models.provisioning_policy import ProvisioningPolicy
from models.service_plan import ServicePlan
from simulator.active_directory import DOMAIN, JOIN_PASSWORD, JOIN_USER
from simulator.arm.store import Resource
from simulator.cloud import SECOND_SUBSCRIPTION_ID, SUBSCRIPTION_ID, Cloud
from simulator.faults import Fault
from simulator.server import SimulatorServer
from worker import make_worker
from workflows.cloud_pc.workflow import CloudPcWorkflow

SETTLED = (CloudPcStatus.PROVISIONED, CloudPcStatus.PROVISIONED_WITH_WARNINGS, CloudPcStatus.FAILED)
Handle = WorkflowHandle[CloudPcWorkflow, CloudPc]


def policy(**changes: Any) -> ProvisioningPolicy:
    """A policy like the first example's."""
    fields: dict[str, Any] = {
        "id": "engineering",
        "displayName": "Engineering",
        "domainJoinConfigurations": [{"regionName": "westeurope"}],
        "enableSingleSignOn": True,
    }
    return ProvisioningPolicy.model_validate(fields | changes, extra="forbid")


HEADQUARTERS = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-corp"
)
BRANCH = f"/subscriptions/{SECOND_SUBSCRIPTION_ID}/resourceGroups/rg-branch"
JOIN_PASSWORD_VARIABLE = "CLOUD_PC_JOIN_PASSWORD"


def connection(id: str = "headquarters", subnet: str = "snet-cloud-pcs", **changes: Any) -> AzureNetworkConnection:
    """A connection to a subnet of the headquarters' network; hybrid, with the password in the environment."""
    fields: dict[str, Any] = {
        "id": id,
        "displayName": id.title(),
        "subnetId": f"{HEADQUARTERS}/subnets/{subnet}",
        "adDomainName": DOMAIN,
        "adDomainUsername": JOIN_USER,
        "adDomainPassword": {"environmentVariable": JOIN_PASSWORD_VARIABLE},
        "organizationalUnit": "OU=Cloud PCs,DC=corp,DC=contoso,DC=com",
    }
    return AzureNetworkConnection.model_validate(fields | changes, extra="forbid")


def entra_connection(
    id: str = "headquarters", subnet: str = "snet-cloud-pcs", **changes: Any
) -> AzureNetworkConnection:
    """A connection to a subnet of the headquarters' network, for Microsoft Entra join."""
    fields: dict[str, Any] = {
        "id": id,
        "displayName": id.title(),
        "connectionType": "azureADJoin",
        "subnetId": f"{HEADQUARTERS}/subnets/{subnet}",
    }
    return AzureNetworkConnection.model_validate(fields | changes, extra="forbid")


def joining(kind: str, *connections: AzureNetworkConnection, **changes: Any) -> ProvisioningPolicy:
    """A policy of this domain join type over these connections, in their order."""
    places = [{"domainJoinType": kind, "onPremisesConnectionId": item.id} for item in connections]
    return policy(domainJoinConfigurations=places, **changes)


@dataclass
class Lab:
    """One simulated cloud with a worker on it."""

    client: Client
    clients: CloudClients
    cloud: Cloud
    task_queue: str
    handles: list[Handle] = field(default_factory=list)

    @property
    def service_plan(self) -> ServicePlan:
        """The plan of the tests' Cloud PCs."""
        plan = load_service_plans().find("CPC_E_2C_8GB_128GB")
        assert plan is not None
        return plan

    def user(self, name: str = "ada@contoso.com") -> User:
        """A user of the tenant, as the product knows them."""
        found = next(user for user in self.cloud.directory.users.values() if user["userPrincipalName"] == name)
        return User(
            id=found["id"],
            user_principal_name=name,
            display_name=found["displayName"],
            on_premises_user_principal_name=found.get("onPremisesUserPrincipalName"),
        )

    async def start(
        self,
        made: ProvisioningPolicy | None = None,
        user: str = "ada@contoso.com",
        connections: Sequence[AzureNetworkConnection] = (),
    ) -> Handle:
        """Start a Cloud PC's workflow."""
        request = CloudPcRequest(
            id=f"pc-{uuid.uuid4()}",
            policy=made or policy(),
            connections=tuple(connections),
            service_plan=self.service_plan,
            user=self.user(user),
        )
        handle = await self.client.start_workflow(
            CloudPcWorkflow.run, request, id=request.id, task_queue=self.task_queue
        )
        self.handles.append(handle)
        return self.latest(handle)

    def latest(self, handle: Handle) -> Handle:
        """The same Cloud PC, whichever its current run is."""
        return self.client.get_workflow_handle_for(CloudPcWorkflow.run, handle.id)

    async def until(self, handle: Handle, reached: Callable[[CloudPc], bool], seconds: float = 60) -> CloudPc:
        """Wait until the Cloud PC is as described."""
        async with asyncio.timeout(seconds):
            while not reached(pc := await handle.query(CloudPcWorkflow.cloud_pc)):
                await asyncio.sleep(0.05)
            return pc

    async def settled(self, handle: Handle, attempt: int = 1, seconds: float = 60) -> CloudPc:
        """Wait until an attempt has ended."""
        async with asyncio.timeout(seconds):
            while True:
                # A query replays the history where nothing is cached; this asks the server only.
                found = (await handle.describe()).typed_search_attributes
                if found.get(search_attributes.STATUS) in SETTLED:
                    pc = await handle.query(CloudPcWorkflow.cloud_pc)
                    if pc.attempt == attempt and is_settled(pc):
                        return pc
                await asyncio.sleep(0.05)

    async def ended(self, handle: Handle) -> CloudPc:
        """Wait until the workflow has ended and return its result."""
        async with asyncio.timeout(60):
            return await handle.result()

    async def until_closed(self, handle: Handle) -> None:
        """Wait until the workflow has ended, however it ended."""
        async with asyncio.timeout(60):
            while (await handle.describe()).close_time is None:
                await asyncio.sleep(0.03)

    async def provisioned(
        self,
        made: ProvisioningPolicy | None = None,
        user: str = "ada@contoso.com",
        connections: Sequence[AzureNetworkConnection] = (),
    ) -> CloudPc:
        """Provision a Cloud PC and return how it ended."""
        return await self.settled(await self.start(made, user, connections))

    async def signal(self, handle: Handle, name: str, data: bytes) -> None:
        """Send a signal with this raw input, as the temporal CLI does."""
        await handle.signal(name, RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data)))

    def fail(self, method: str, path: str, code: str = "BadRequest", status: int = 400, **rule: Any) -> None:
        """Put a fault rule in force."""
        self.cloud.faults.add(Fault(method, path, code, status=status, **rule))

    def exists(self, kind: str, group: str = "") -> list[str]:
        """The ARM ids of a resource type, such as `Microsoft.Compute/virtualMachines`, all or those of a group."""
        inventory = self.cloud.resources.inventory()
        ids = next((ids for name, ids in inventory.items() if name.casefold() == kind.casefold()), [])
        return [id for id in ids if f"/resourceGroups/{group}" in id]

    def resource(self, id: str) -> Resource:
        """What exists by an ARM id."""
        found = self.cloud.resources.get(id)
        assert found is not None, id
        return found

    def requests(self, method: str, path_end: str) -> list[Any]:
        """The mutating requests whose path ends so."""
        return [
            entry
            for entry in self.cloud.ledger.entries
            if entry.method == method and entry.path.casefold().endswith(path_end.casefold())
        ]

    def nothing_left(self) -> None:
        """Assert that no Cloud PC has left a trace; what policies, regions and the domain have may stay."""
        for kind in (
            "Microsoft.Compute/virtualMachines",
            "Microsoft.Compute/disks",
            "Microsoft.Compute/virtualMachines/extensions",
            "Microsoft.Compute/virtualMachines/runCommands",
            "Microsoft.Compute/capacityReservationGroups",
            "Microsoft.Compute/capacityReservationGroups/capacityReservations",
            "Microsoft.Network/networkInterfaces",
            "Microsoft.DesktopVirtualization/hostPools/sessionHosts",
            "Microsoft.Authorization/roleAssignments",
        ):
            assert self.exists(kind) == [], kind
        computers = {computer.sid for computer in self.cloud.active_directory.computers.values()}
        for device in self.cloud.directory.devices.values():
            # Entra Connect brings it again as long as the account is there.
            assert not device["alternativeSecurityIds"] and device["onPremisesSecurityIdentifier"] in computers
        assert not self.cloud.directory.managed_devices
        assert not self.cloud.guests


def step(pc: CloudPc, wanted: AnyStep) -> StepStatus:
    """The status of one step."""
    return next(status for status in pc.steps if status.step == wanted.name)


@pytest.fixture
def join_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker knows the join account's password."""
    monkeypatch.setenv(JOIN_PASSWORD_VARIABLE, JOIN_PASSWORD)


@pytest.fixture(params=[1000, 0], ids=["cached", "replayed"])
def max_cached_workflows(request: pytest.FixtureRequest) -> int:
    """Every test runs twice; without a cache each workflow task begins with a replay of the history."""
    return request.param


@pytest_asyncio.fixture
async def lab(
    temporal_client: Client, simulator: SimulatorServer, clients: CloudClients, max_cached_workflows: int
) -> AsyncGenerator[Lab, None]:
    """A worker on a simulated cloud; Cloud PCs that a test leaves behind are terminated."""
    made = Lab(temporal_client, clients, simulator.cloud, f"test-{uuid.uuid4()}")
    async with make_worker(
        temporal_client, clients, task_queue=made.task_queue, max_cached_workflows=max_cached_workflows
    ):
        yield made
        for handle in made.handles:
            description = await made.latest(handle).describe()
            if description.close_time is None:
                await made.latest(handle).terminate("the test has ended")
