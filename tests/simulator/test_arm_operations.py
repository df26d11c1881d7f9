"""The simulated Resource Manager while operations are under way, by the real SDK clients."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.mgmt.desktopvirtualization.models import HostPool, RegistrationInfo

from cloud.clients import CloudClients
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.faults import Fault
from simulator.server import SimulatorServer

from .arm import Arm, code_of, entra_join_body, interface_body, machine_body, network_id, refusal, run_command_body


@pytest.fixture
def speed() -> float:
    """So fast that a machine is made in 0.3 seconds, and so slow that something can happen meanwhile."""
    return 400


@pytest.fixture
async def arm(simulator: SimulatorServer, clients: CloudClients) -> AsyncGenerator[Arm, None]:
    """A simulated Resource Manager with clients for it."""
    yield Arm(simulator.cloud, clients)


async def begin(arm: Arm, name: str) -> Any:
    """Begin to make a machine."""
    await arm.interface(f"{name}-nic")
    return await arm.clients.compute.virtual_machines.begin_create_or_update(GROUP, name, machine_body(name))


async def test_a_machine_under_construction(arm: Arm) -> None:
    machines, extensions = arm.clients.compute.virtual_machines, arm.clients.compute.virtual_machine_extensions
    poller = await begin(arm, "pc1")
    assert (await machines.get(GROUP, "pc1")).properties.provisioning_state == "Creating"
    again = machines.begin_create_or_update(GROUP, "pc1", machine_body("pc1"))
    assert await code_of(again) == (409, "OperationNotAllowed")
    error = await refusal(extensions.begin_create_or_update(GROUP, "pc1", "join", entra_join_body()))
    assert (error.status_code, error.error.code) == (409, "OperationNotAllowed")
    assert "since another operation is in progress" in error.message
    assert arm.cloud.ledger.entries[-3].operation == "InProgress"
    assert (await poller.result()).properties.provisioning_state == "Succeeded"


async def test_an_operation_is_resumed_from_its_token(arm: Arm, clients: CloudClients) -> None:
    token = (await begin(arm, "pc1")).continuation_token()
    machines: Any = clients.resource_groups.get().compute.virtual_machines
    machine = await (await machines.begin_create_or_update(GROUP, "pc1", {}, continuation_token=token)).result()
    assert machine.properties.provisioning_state == "Succeeded"
    requests = [entry for entry in arm.cloud.ledger.entries if entry.path.endswith("/virtualMachines/pc1")]
    assert len(requests) == 1


async def test_every_answer_of_a_running_operation_says_when_to_come_back(arm: Arm) -> None:
    answers: list[tuple[int, dict[str, str]]] = []

    def note(response: Any) -> None:
        http = response.http_response
        answers.append((http.status_code, {name.lower(): value for name, value in http.headers.items()}))

    await arm.interface("pc1-nic")
    machines = arm.clients.compute.virtual_machines
    body = machine_body("pc1")
    await (await machines.begin_create_or_update(GROUP, "pc1", body, raw_response_hook=note)).result()
    create, *polls, last, _resource = answers
    assert create[0] == 201 and "azure-asyncoperation" in create[1] and "location" not in create[1]
    assert polls and all(headers["retry-after-ms"] == "25" for _, headers in (create, *polls))
    assert "retry-after-ms" not in last[1]

    answers.clear()
    await (await machines.begin_delete(GROUP, "pc1", raw_response_hook=note)).result()
    assert answers[0][0] == 202 and {"azure-asyncoperation", "location"} <= set(answers[0][1])


async def test_deleting_ends_what_is_under_way(arm: Arm) -> None:
    machines = arm.clients.compute.virtual_machines
    create = await begin(arm, "pc1")
    delete = await machines.begin_delete(GROUP, "pc1")
    assert (await refusal(_return(create))).error.code == "OperationPreempted"
    error = await refusal(machines.begin_create_or_update(GROUP, "pc1", machine_body("pc1")))
    assert error.error.code == "OperationNotAllowed" and "marked for deletion" in error.message
    await (await machines.begin_delete(GROUP, "pc1")).result()
    await delete.result()
    machine_entries = [entry for entry in arm.cloud.ledger.entries if entry.path.endswith("/virtualMachines/pc1")]
    assert [entry.operation for entry in machine_entries] == ["Canceled", "Succeeded", None, "InProgress"]
    assert not arm.cloud.guests


async def test_extensions_come_one_after_another(arm: Arm) -> None:
    await (await begin(arm, "pc1")).result()
    extensions = arm.clients.compute.virtual_machine_extensions
    first = await extensions.begin_create_or_update(GROUP, "pc1", "join", entra_join_body())
    script = {"publisher": "Microsoft.Compute", "type": "CustomScriptExtension", "typeHandlerVersion": "1.10"}
    second = {"location": "westeurope", "properties": script}
    request = extensions.begin_create_or_update(GROUP, "pc1", "script", second)
    assert await code_of(request) == (409, "OperationNotAllowed")
    await first.result()
    await (await extensions.begin_create_or_update(GROUP, "pc1", "script", second)).result()


@pytest.mark.parametrize("speed", [50.0])
async def test_run_commands_side_by_side(arm: Arm) -> None:
    await (await begin(arm, "pc1")).result()
    machines, commands = arm.clients.compute.virtual_machines, arm.clients.compute.virtual_machine_run_commands
    await asyncio.gather(*(arm.run("pc1", f"c{number}", "exit 0") for number in range(3)))

    action = {"commandId": "RunPowerShellScript", "script": ["exit 0"]}
    first = await machines.begin_run_command(GROUP, "pc1", action)
    assert await code_of(machines.begin_run_command(GROUP, "pc1", action)) == (409, "Conflict")
    await first.result()
    await (await machines.begin_run_command(GROUP, "pc1", action)).result()

    body = run_command_body("Write-Output 'late'", asyncExecution=True)
    await (await commands.begin_create_or_update(GROUP, "pc1", "later", body)).result()
    command = await commands.get_by_virtual_machine(GROUP, "pc1", "later", expand="instanceView")
    assert command.properties.instance_view.execution_state == "Running"
    async with asyncio.timeout(10):
        while command.properties.instance_view.execution_state == "Running":
            await asyncio.sleep(0.05)
            command = await commands.get_by_virtual_machine(GROUP, "pc1", "later", expand="instanceView")
    assert command.properties.instance_view.output == "late"


async def test_deleting_a_run_command_terminates_it(arm: Arm) -> None:
    machine = await (await begin(arm, "pc1")).result()
    commands = arm.clients.compute.virtual_machine_run_commands
    script = "New-Item -Path 'HKLM:\\SOFTWARE\\Trace' | Out-Null"
    running = await commands.begin_create_or_update(GROUP, "pc1", "c", run_command_body(script))
    await (await commands.begin_delete(GROUP, "pc1", "c")).result()
    assert (await refusal(_return(running))).error.code == "OperationPreempted"
    await asyncio.sleep(0.15)
    assert arm.cloud.guests[machine.id.lower()].registry_key("HKLM:\\SOFTWARE\\Trace") is None


async def test_an_asynchronous_script_fails_when_its_machine_stops(arm: Arm) -> None:
    await (await begin(arm, "pc1")).result()
    machines, commands = arm.clients.compute.virtual_machines, arm.clients.compute.virtual_machine_run_commands
    body = run_command_body("Write-Output 'late'", asyncExecution=True)
    await commands.begin_create_or_update(GROUP, "pc1", "later", body)
    await (await machines.begin_power_off(GROUP, "pc1")).result()
    command = await commands.get_by_virtual_machine(GROUP, "pc1", "later", expand="instanceView")
    assert command.properties.instance_view.execution_state == "Failed"


async def test_a_session_host_is_available_after_a_while(arm: Arm) -> None:
    machine = await (await begin(arm, "pc1")).result()
    await arm.join("pc1")
    pools, hosts = arm.clients.desktop_virtualization.host_pools, arm.clients.desktop_virtualization.session_hosts
    registration = RegistrationInfo(
        expiration_time=datetime.now(UTC) + timedelta(hours=2), registration_token_operation="Update"
    )
    pool = HostPool(
        location="westeurope",
        host_pool_type="Personal",
        load_balancer_type="Persistent",
        preferred_app_group_type="Desktop",
        registration_info=registration,
    )
    token = (await pools.create_or_update(GROUP, "pool", pool)).registration_info.token
    arm.cloud.guests[machine.id.lower()].avd_registration_token = token
    await arm.run("pc1", "install", "exit 0")
    assert (await hosts.get(GROUP, "pool", "pc1")).status == "Unavailable"
    await asyncio.sleep(0.3)
    assert (await hosts.get(GROUP, "pool", "pc1")).status == "Available"


@pytest.mark.parametrize("speed", [20.0])
async def test_writes_to_one_network_conflict(arm: Arm) -> None:
    await arm.network()
    subnets = arm.clients.network.subnets
    first = await subnets.begin_create_or_update(GROUP, "vnet", "a", {"properties": {"addressPrefix": "10.0.1.0/24"}})
    error = await refusal(
        subnets.begin_create_or_update(GROUP, "vnet", "b", {"properties": {"addressPrefix": "10.0.2.0/24"}})
    )
    assert (error.status_code, error.error.code) == (429, "RetryableErrorDueToAnotherOperation")
    assert "retry-after-ms" in error.response.headers
    interface = interface_body(network_id("virtualNetworks", "vnet/subnets/a"))
    request = arm.clients.network.network_interfaces.begin_create_or_update(GROUP, "nic", interface)
    assert await code_of(request) == (429, "ReferencedResourceNotProvisioned")
    await first.result()


async def test_an_interface_stays_reserved_for_its_machine(arm: Arm) -> None:
    arm.cloud.faults.add(Fault("PUT", "virtualMachines/pc1$", "AllocationFailed", when="operation"))
    assert (await refusal(begin(arm, "pc1"))).error.code == "AllocationFailed"
    interfaces = arm.clients.network.network_interfaces
    delete = interfaces.begin_delete(GROUP, "pc1-nic")
    assert await code_of(delete) == (400, "NicReservedForAnotherVm")
    machines = arm.clients.compute.virtual_machines
    await (await machines.begin_create_or_update(GROUP, "pc1", machine_body("pc1"))).result()
    assert len(arm.cloud.guests) == 1


async def test_an_interface_left_behind_is_free_after_180_seconds(arm: Arm) -> None:
    await arm.interface("pc1-nic")
    detached = {"networkInterfaces": [{"id": network_id("networkInterfaces", "pc1-nic")}]}
    machines, interfaces = arm.clients.compute.virtual_machines, arm.clients.network.network_interfaces
    body = machine_body("pc1", networkProfile=detached)
    await (await machines.begin_create_or_update(GROUP, "pc1", body)).result()
    await (await machines.begin_delete(GROUP, "pc1")).result()
    assert await code_of(interfaces.begin_delete(GROUP, "pc1-nic")) == (400, "NicReservedForAnotherVm")
    await asyncio.sleep(0.5)
    await (await interfaces.begin_delete(GROUP, "pc1-nic")).result()


@pytest.mark.parametrize("speed", [1.0])
async def test_too_many_requests_about_one_machine(arm: Arm) -> None:
    machines = arm.clients.compute.virtual_machines
    for _ in range(36):
        assert await code_of(machines.get(GROUP, "pc1")) == (404, "ResourceNotFound")

    error = await refusal(machines.get(GROUP, "pc1"))

    assert (error.status_code, error.error.code) == (429, "OperationNotAllowed")
    assert [detail.code for detail in error.error.details] == ["TooManyRequests"]
    assert "error" not in error.response.json() and error.response.headers["Retry-After"] == "5"
    assert error.response.headers["x-ms-ratelimit-remaining-resource"] == "Microsoft.Compute/LowCostGet;0"
    assert await code_of(machines.get(GROUP, "pc2")) == (404, "ResourceNotFound")


async def _return(poller: Any) -> Any:
    return poller
