"""The audit: what `temporal workflow terminate` leaves is what it finds, and what it takes away, and nothing else."""

import asyncio
import uuid
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError

import starter
from contract import steps
from contract.activity import AnyStep
from domain import naming
from domain.audit import SUFFIXES
from models.audit import Finding, FindingState, PartKind
from models.azure_network_connection import AzureNetworkConnection
from models.cloud_pc import CloudPc, CloudPcRequest, CloudPcStatus, StepState
from models.remote_actions import Accepted, Deprovision
from simulator.active_directory import JOIN_PASSWORD
from simulator.arm.store import Resource
from simulator.cloud import RESOURCE_GROUP, SUBSCRIPTION_ID
from tests.workflows.conftest import JOIN_PASSWORD_VARIABLE, Handle, Lab, connection, joining, policy
from workflows.audit import (
    AuditRequest,
    AuditResponse,
    AuditWorkflow,
    RepairRequest,
    RepairResponse,
    RepairWorkflow,
)
from workflows.cloud_pc.workflow import CloudPcWorkflow

GROUP = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{RESOURCE_GROUP}"
MACHINES = "Microsoft.Compute/virtualMachines"
KINDS = (
    MACHINES,
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Compute/disks",
    "Microsoft.Compute/capacityReservationGroups",
    "Microsoft.Compute/capacityReservationGroups/capacityReservations",
    "Microsoft.DesktopVirtualization/hostPools/sessionHosts",
    "Microsoft.Authorization/roleAssignments",
)


@pytest.fixture
def max_cached_workflows() -> int:
    """Cached only; the audit's own workflows have no history worth a second run."""
    return 1000


async def audit(lab: Lab, older_than: float = 0, connections: tuple[AzureNetworkConnection, ...] = ()) -> list[Finding]:
    request = AuditRequest(connections=connections, older_than_minutes=older_than)
    response: AuditResponse = await lab.client.execute_workflow(
        AuditWorkflow.run, request, id=f"audit-{uuid.uuid4()}", task_queue=lab.task_queue
    )
    return list(response.findings)


async def begin_repair(
    lab: Lab, agreed: list[Finding], older_than: float = 0, connections: tuple[AzureNetworkConnection, ...] = ()
) -> WorkflowHandle[RepairWorkflow, RepairResponse]:
    request = RepairRequest(
        connections=connections,
        older_than_minutes=older_than,
        finding_ids=tuple(finding.id for finding in agreed),
    )
    return await lab.client.start_workflow(
        RepairWorkflow.run, request, id=f"repair-{uuid.uuid4()}", task_queue=lab.task_queue
    )


def exists(lab: Lab) -> set[str]:
    """The ids of everything that Cloud PCs are made of."""
    directory = lab.cloud.directory
    return {*(id for kind in KINDS for id in lab.exists(kind)), *directory.devices, *directory.managed_devices}


async def terminated(lab: Lab, handle: Handle) -> None:
    await handle.terminate("by hand")
    lab.cloud.faults.rules.clear()
    # What was requested goes on.
    await asyncio.sleep(0.1)


async def held(lab: Lab, step: AnyStep, method: str, path: str, skip: int = 0, **start: Any) -> tuple[Handle, CloudPc]:
    """Start a Cloud PC that does not get further than a step."""
    lab.fail(method, path, "ServiceUnavailable", 503, times=1000, skip=skip)
    handle = await lab.start(**start)
    tried = [rule for rule in lab.cloud.faults.rules if rule.path == path][-1]
    pc = await lab.until(
        handle,
        lambda pc: (
            tried.times < 1000 and any(each.step == step.name and each.state == StepState.RUNNING for each in pc.steps)
        ),
    )
    return handle, pc


HOLDS = [
    (steps.CREATE_VIRTUAL_MACHINE, "PUT", r"virtualMachines/[^/]+$", 0, {PartKind.NETWORK_INTERFACE}),
    (steps.CREATE_VIRTUAL_MACHINE, "GET", r"Microsoft.Compute/locations/[^/]+/operations/", 0, {PartKind.DISK}),
    (steps.JOIN_ENTRA_ID, "PUT", r"extensions/AADLoginForWindows$", 0, {PartKind.VIRTUAL_MACHINE}),
    (steps.ENROLL_IN_INTUNE, "GET", r"/managedDevices$", 0, {PartKind.DEVICE, PartKind.MANAGED_DEVICE}),
    (steps.DISABLE_PORT_3389, "PUT", r"runCommands/disable-port-3389$", 0, {PartKind.MANAGED_DEVICE}),
    (steps.REGISTER_SESSION_HOST, "GET", r"/sessionHosts/[^/]+$", 1, {PartKind.SESSION_HOST}),
]
"""Where Cloud PCs are held: step, request that is refused, how many pass first, and some of what exists by then."""


async def test_terminating_in_any_step_leaves_what_the_audit_finds(lab: Lab) -> None:
    living = await lab.provisioned(user="grace@contoso.com")
    assert living.status == CloudPcStatus.PROVISIONED
    own = exists(lab)
    expected: dict[str, set[PartKind]] = {}
    for step, method, path, skip, kinds in HOLDS:
        handle, pc = await held(lab, step, method, path, skip)
        await terminated(lab, handle)
        expected[pc.computer_name] = kinds
    handle = await lab.start(policy(capacityReservation=True))
    expected[(await lab.settled(handle)).computer_name] = {PartKind.CAPACITY_RESERVATION, PartKind.SESSION_HOST}
    await terminated(lab, handle)
    orphans = exists(lab) - own
    working, _ = await held(lab, steps.JOIN_ENTRA_ID, "PUT", r"extensions/AADLoginForWindows$", made=policy(id="sales"))

    found = await audit(lab)

    assert {finding.state for finding in found} == {FindingState.ORPHAN}
    assert sorted(finding.id for finding in found) == sorted(orphans), "each once, and nothing of those that live"
    for name, kinds in expected.items():
        assert kinds <= {finding.kind for finding in found if finding.computer_name == name}, name
    for finding in found:
        assert finding.created_date_time and not finding.kept
        assert finding.id in finding.command and finding.command.startswith("az ")

    lab.cloud.faults.rules.clear()
    repair = await begin_repair(lab, found)
    response = await repair.result()

    assert all(one.is_gone for one in response.repaired), response.repaired
    assert {one.computer_name for one in response.repaired} == set(expected)
    assert response.after.findings == ()
    worked = await lab.settled(working)
    assert worked.status == CloudPcStatus.PROVISIONED
    assert await audit(lab) == []
    for handle in (lab.latest(lab.handles[0]), working):
        await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
        await lab.ended(handle)
    lab.nothing_left()


def add_machine(lab: Lab, name: str, tags: dict[str, str], like: str) -> str:
    """Add a machine to the resource group, like another one."""
    original = lab.resource(like)
    id = f"{GROUP}/providers/{MACHINES}/{name}"
    body = {**deepcopy(original.body), "id": id, "name": name, "tags": tags}
    lab.cloud.resources.add(Resource(id, MACHINES, body, dict(original.private)))
    return id


def add_device(lab: Lab, name: str, machine_id: str) -> None:
    """Add an Entra device that names a machine."""
    directory = lab.cloud.directory
    device = {**deepcopy(next(iter(directory.devices.values()))), "id": str(uuid.uuid4()), "displayName": name}
    device |= {"deviceId": str(uuid.uuid4()), "physicalIds": [f"[AzureResourceId]:{machine_id}"]}
    directory.devices[device["id"]] = directory.visible_devices[device["id"]] = device


async def test_what_is_not_ours_is_not_looked_at_and_what_is_missing_is_listed(lab: Lab) -> None:
    pc = await lab.provisioned()
    await _foreign_things_are_not_looked_at(lab, pc)
    await _what_cannot_be_read_is_said_and_is_not_missing(lab)
    await _what_is_different_or_missing_is_listed(lab, pc)


async def _foreign_things_are_not_looked_at(lab: Lab, pc: CloudPc) -> None:
    machine = pc.virtual_machine_id
    assert machine is not None
    tags = lab.resource(machine).body["tags"]
    add_device(lab, "CPC-ada-FRGN1", add_machine(lab, "CPC-ada-FRGN1", {}, machine))
    add_device(lab, "CPC-ada-FRGN2", add_machine(lab, "CPC-ada-FRGN2", {**tags, "cloudPcId": "7/of 9"}, machine))
    nobodys = {name: value for name, value in tags.items() if name != "userId"}
    add_machine(lab, "CPC-ada-FRGN3", {**nobodys, "cloudPcId": "another"}, machine)
    add_machine(lab, "CPC-ada-FRGN4", {**tags, "managedBy": "somebody", "cloudPcId": "another"}, machine)
    elsewhere = machine.replace(RESOURCE_GROUP, f"{RESOURCE_GROUP}-2").replace(pc.computer_name, "CPC-ada-FRGN5")
    add_device(lab, "CPC-ada-FRGN5", elsewhere)
    [host] = lab.exists("Microsoft.DesktopVirtualization/hostPools/sessionHosts")
    body = deepcopy(lab.resource(host).body)
    body["id"] = host.replace(pc.computer_name, "CPC-ada-FRGN5")
    body["properties"]["resourceId"] = elsewhere
    lab.cloud.resources.add(Resource(body["id"], "Microsoft.DesktopVirtualization/hostPools/sessionHosts", body))
    assert await audit(lab) == []


async def _what_cannot_be_read_is_said_and_is_not_missing(lab: Lab) -> None:
    lab.fail("GET", rf"{RESOURCE_GROUP}/resources$", "AuthorizationFailed", 403, times=100)
    soon = {"retry-after-ms": "20"}
    lab.fail("GET", r"/devices$", "ServiceUnavailable", 503, times=100, headers=soon)
    found = await audit(lab)
    lab.cloud.faults.rules.clear()
    assert {finding.state for finding in found} == {FindingState.NOT_CHECKED}
    commands = {finding.kind: finding.command for finding in found}
    assert commands == {PartKind.VIRTUAL_MACHINE: "starter.py doctor", PartKind.DEVICE: "starter.py audit"}


async def _what_is_different_or_missing_is_listed(lab: Lab, pc: CloudPc) -> None:
    assert pc.managed_device_id is not None
    other = lab.user("grace@contoso.com")
    [interface] = lab.exists("Microsoft.Network/networkInterfaces")
    host, _ = lab.exists("Microsoft.DesktopVirtualization/hostPools/sessionHosts")
    lab.resource(host).properties["assignedUser"] = other.user_principal_name
    lab.cloud.directory.primary_users[pc.managed_device_id] = other.id
    found = await audit(lab)
    assert {finding.kind for finding in found} == {PartKind.ASSIGNED_USER, PartKind.PRIMARY_USER}
    assert {finding.state for finding in found} == {FindingState.DIFFERENT}

    for id in (interface, host, *lab.exists("Microsoft.Authorization/roleAssignments")):
        lab.cloud.resources.remove(id)
    lab.cloud.directory.delete_managed_device(pc.managed_device_id)
    devices = lab.cloud.directory.devices
    lab.cloud.directory.delete_device(next(id for id in devices if devices[id]["deviceId"] == pc.entra_device_id))
    await asyncio.sleep(0.05)
    found = await audit(lab)

    assert {finding.state for finding in found} == {FindingState.MISSING}
    kinds = [PartKind.NETWORK_INTERFACE, PartKind.SESSION_HOST, PartKind.ROLE_ASSIGNMENT, PartKind.ROLE_ASSIGNMENT]
    assert [finding.kind for finding in found] == [*kinds, PartKind.DEVICE, PartKind.MANAGED_DEVICE]
    assert {finding.command for finding in found} == {f"starter.py reprovision {pc.id}"}
    assert all(finding.kept for finding in found)
    response = await (await begin_repair(lab, found)).result()
    assert response.repaired == ()


async def test_what_is_left_without_a_machine_is_taken_away_by_itself(lab: Lab) -> None:
    handle = await lab.start()
    pc = await lab.settled(handle)
    assert pc.virtual_machine_id is not None
    await terminated(lab, handle)
    for id in [*lab.exists("Microsoft.Compute/disks"), *lab.exists("Microsoft.Network/networkInterfaces")]:
        lab.cloud.resources.remove(id)
    lab.cloud.resources.remove(pc.virtual_machine_id)
    lab.cloud.guests.clear()
    disk = f"{GROUP}/providers/Microsoft.Compute/disks/{pc.computer_name}-osdisk"
    kind, name = "Microsoft.Compute/disks", f"{pc.computer_name}-osdisk"
    body = {"id": disk, "name": name, "type": kind, "location": "westeurope", "properties": {}}
    lab.cloud.resources.add(Resource(disk, kind, body))

    found = await audit(lab)
    assert [finding.kind for finding in found if finding.kept] == []
    response = await (await begin_repair(lab, found)).result()

    assert response.after.findings == ()
    assert exists(lab) == {disk}, "a disk of that name, which nothing shows to be ours"
    lab.cloud.resources.remove(disk)
    lab.nothing_left()


async def test_leftovers_are_their_cloud_pcs_own_affair(lab: Lab) -> None:
    lab.fail("PUT", r"extensions/AADLoginForWindows$", times=1)
    lab.fail("DELETE", r"virtualMachines/[^/]+$", "ScopeLocked", 409)
    pc = await lab.provisioned()
    assert pc.status == CloudPcStatus.FAILED and exists(lab)

    found = await audit(lab)

    assert {finding.state for finding in found} == {FindingState.LEFT_OVER}
    assert {finding.id for finding in found} == exists(lab)
    assert all(finding.kept and finding.command == f"starter.py reprovision {pc.id}" for finding in found)


async def again(lab: Lab, id: str) -> Handle:
    """Start a Cloud PC's workflow by an id that was used before."""
    request = CloudPcRequest(id=id, policy=policy(), service_plan=lab.service_plan, user=lab.user())
    handle = await lab.client.start_workflow(CloudPcWorkflow.run, request, id=id, task_queue=lab.task_queue)
    lab.handles.append(handle)
    return lab.latest(handle)


async def test_repair_takes_nothing_that_it_should_not(lab: Lab) -> None:
    handle = await lab.start()
    first = await lab.settled(handle)
    await terminated(lab, handle)
    await _what_is_young_or_of_unknown_age_stays(lab)
    await _a_machine_that_cannot_be_deleted_keeps_its_devices(lab)
    soon = {"retry-after-ms": "50"}
    lab.fail("PUT", r"extensions/AADLoginForWindows$", "ServiceUnavailable", 503, times=1000, headers=soon)
    handle = await again(lab, handle.id)
    await lab.until(handle, lambda pc: pc.virtual_machine_id is not None)
    assert await audit(lab) == [], "it is in work"
    lab.cloud.faults.rules.clear()
    second = await lab.settled(handle)
    await _who_lives_on_under_another_name_keeps_what_is_its_own(lab, first, second)
    await terminated(lab, lab.latest(handle))
    await _no_cloud_pc_is_started_while_its_remains_are_taken_away(lab, handle.id)
    lab.nothing_left()


async def _what_is_young_or_of_unknown_age_stays(lab: Lab) -> None:
    before = exists(lab)
    found = await audit(lab, older_than=120)
    assert {finding.kept for finding in found} == {"it, or what belongs to it, is younger than 120 minutes"}
    for id in before:
        if resource := lab.cloud.resources.get(id):
            resource.created -= timedelta(hours=3)
    found = await audit(lab, older_than=120)
    assert all("younger" in finding.kept for finding in found), "its devices are young"
    [device] = lab.cloud.directory.visible_devices.values()
    device["registrationDateTime"] = None
    found = await audit(lab)
    assert {finding.kept for finding in found} == {"its age, or that of what belongs to it, is not known"}

    response = await (await begin_repair(lab, found)).result()

    assert response.repaired == () and exists(lab) == before
    device["registrationDateTime"] = lab.cloud.clock.timestamp()
    partly = [finding for finding in found if finding.kind != PartKind.SESSION_HOST]
    response = await (await begin_repair(lab, partly)).result()
    assert response.repaired == () and exists(lab) == before, "not all of it was agreed to"


async def _a_machine_that_cannot_be_deleted_keeps_its_devices(lab: Lab) -> None:
    before = exists(lab)
    lab.fail("DELETE", r"virtualMachines/[^/]+$", "ScopeLocked", 409)
    response = await (await begin_repair(lab, await audit(lab))).result()
    [one] = response.repaired
    assert not one.is_gone and one.detail.startswith("delete_virtual_machine: ScopeLocked: ")
    assert exists(lab) == before == {finding.id for finding in response.after.findings}


async def _who_lives_on_under_another_name_keeps_what_is_its_own(lab: Lab, first: CloudPc, second: CloudPc) -> None:
    assert second.status == CloudPcStatus.PROVISIONED and second.computer_name != first.computer_name
    found = await audit(lab)
    assert {finding.computer_name for finding in found} == {first.computer_name}
    assert {finding.detail for finding in found} == {f"its Cloud PC is {second.computer_name} now"}
    before = exists(lab)

    response = await (await begin_repair(lab, found)).result()

    assert [one.computer_name for one in response.repaired if one.is_gone] == [first.computer_name]
    assert response.after.findings == ()
    assert exists(lab) == before - {finding.id for finding in found}
    assert len([id for id in exists(lab) if "/applicationGroups/" in id]) == 1, "the right to the desktop is its own"


async def _no_cloud_pc_is_started_while_its_remains_are_taken_away(lab: Lab, id: str) -> None:
    found = await audit(lab)
    lab.fail("DELETE", r"virtualMachines/[^/]+$", "ServiceUnavailable", 503, times=1000)
    repair = await begin_repair(lab, found)
    async with asyncio.timeout(10):
        while (await lab.client.get_workflow_handle(id).describe()).workflow_type != "RemainsWorkflow":
            await asyncio.sleep(0.05)

    with pytest.raises(WorkflowAlreadyStartedError):
        await again(lab, id)
    assert {finding.state for finding in await audit(lab)} == {FindingState.NOT_CHECKED}

    lab.cloud.faults.rules.clear()
    response = await repair.result()
    assert [one.is_gone for one in response.repaired] == [True]
    assert response.after.findings == ()


async def test_a_hybrid_joined_machine_leaves_its_domain_first(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOIN_PASSWORD_VARIABLE, JOIN_PASSWORD)
    made = joining("hybridAzureADJoin", connection())
    handle = await lab.start(made, "grace@contoso.com", [connection()])
    assert (await lab.settled(handle)).status == CloudPcStatus.PROVISIONED
    assert await audit(lab) == []
    await terminated(lab, handle)

    found = await audit(lab)
    assert {finding.id for finding in found} == exists(lab)
    assert all("--connection" in finding.kept for finding in found)

    found = await audit(lab, connections=(connection(),))
    response = await (await begin_repair(lab, found, connections=(connection(),))).result()
    assert [one.detail for one in response.repaired] == [""]
    lab.nothing_left()


async def test_the_command(lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def connect() -> Any:
        return lab.client

    monkeypatch.setattr(starter, "connect", connect)
    monkeypatch.setattr(starter, "TASK_QUEUE", lab.task_queue)
    answers: list[bool] = []
    monkeypatch.setattr(starter.click, "confirm", lambda question: answers.pop())
    request = AuditRequest(older_than_minutes=0)
    assert await starter._audit(request, False, False, 10, False) == starter.ExitCode.DONE
    handle, pc = await held(lab, steps.JOIN_ENTRA_ID, "PUT", r"extensions/AADLoginForWindows$")
    await terminated(lab, handle)
    assert await starter._audit(request, False, False, 10, True) == starter.ExitCode.FAILED
    assert f'"computerName": "{pc.computer_name}"' in capsys.readouterr().out

    answers.append(False)
    assert await starter._audit(request, True, False, 10, False) == starter.ExitCode.FAILED
    shown = capsys.readouterr().out
    assert shown.count("will be removed") == len(exists(lab)) == shown.count("az ")

    answers.append(True)
    assert await starter._audit(request, True, False, 10, False) == starter.ExitCode.DONE
    assert f"{pc.computer_name}: gone" in capsys.readouterr().out
    lab.nothing_left()


@pytest.mark.parametrize("arguments", [["--repair"], ["--repair", "--json"], ["--yes"]])
def test_the_command_does_not_act_without_having_asked(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert starter.main(["audit", *arguments]) == starter.ExitCode.WRONG_INPUT
    assert capsys.readouterr().err.startswith("error: --")


def test_names_are_those_that_parts_are_made_with() -> None:
    assert naming.network_interface_name("PC") == f"PC{SUFFIXES[PartKind.NETWORK_INTERFACE]}"
    assert naming.os_disk_name("PC") == f"PC{SUFFIXES[PartKind.DISK]}"
    assert naming.capacity_reservation_group_name("PC") == f"PC{SUFFIXES[PartKind.CAPACITY_RESERVATION_GROUP]}"
