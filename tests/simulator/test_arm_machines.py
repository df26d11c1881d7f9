"""Virtual machines, extensions and run commands of the simulated Resource Manager, by the real SDK clients."""

import pytest

from cloud.clients import CloudClients
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.server import SimulatorServer

from .arm import Arm


@pytest.fixture
def arm(simulator: SimulatorServer, clients: CloudClients) -> Arm:
    """A simulated Resource Manager with clients for it."""
    return Arm(simulator.cloud, clients)


async def test_a_machine_is_created_joined_and_configured(arm: Arm) -> None:
    machine = await arm.machine("pc1")
    assert machine.properties.provisioning_state == "Succeeded"
    assert machine.identity.principal_id
    assert "adminPassword" not in str(machine.as_dict())
    guest = arm.cloud.guests[machine.id.lower()]

    await arm.join("pc1", {"mdmId": "0000000a-0000-0000-c000-000000000000"})
    assert guest.entra_joined
    for _ in range(10):
        await arm.clients.compute.virtual_machines.get(GROUP, "pc1")
    assert guest.mdm_enrolled

    view = await arm.run("pc1", "hello", "param([string]$Name)\nWrite-Output \"Hello $Name\"",
                         parameters=[{"name": "Name", "value": "you"}])
    print(view)
    assert (view.execution_state, view.exit_code, view.output) == ("Succeeded", 0, "Hello you")
    vm = await arm.clients.compute.virtual_machines.get(GROUP, "pc1", expand="instanceView")
    print(vm.as_dict())
    r = await (await arm.clients.compute.virtual_machines.begin_run_command(GROUP, "pc1", {"commandId": "RunPowerShellScript", "script": ["Write-Output 'a'"]})).result()
    print(r.as_dict())
    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "pc1")).result()
    print(arm.cloud.resources.inventory())
    print(arm.cloud.ledger.as_json())
    assert 0
