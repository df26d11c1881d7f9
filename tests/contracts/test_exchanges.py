"""Everything that the product sends, and that the simulated cloud answers, is as Microsoft publishes it."""

import uuid

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle

from models.cloud_pc import CloudPcStatus
from models.remote_actions import Accepted, Deprovision
from simulator.active_directory import JOIN_PASSWORD
from simulator.server import Exchange
from tests.contracts.contract import Contract
from tests.contracts.descriptions import Descriptions
from tests.workflows.conftest import JOIN_PASSWORD_VARIABLE, Lab, connection, joining, policy
from workflows.audit import (
    AuditRequest,
    AuditResponse,
    AuditWorkflow,
    RepairRequest,
    RepairResponse,
    RepairWorkflow,
)
from workflows.cloud_pc.workflow import CloudPcWorkflow
from workflows.provision import ProvisionRequest, ProvisionResponse, ProvisionWorkflow

OPERATIONS = {
    "users_user_id_get",
    "devices_get",
    "devices_device_id_delete",
    "deviceManagement_managedDevices_get",
    "deviceManagement_managedDevices_managedDevice_id_delete",
    "deviceManagement_managedDevices_managedDevice_id_users_get",
    "deviceManagement_managedDevices_managedDevice_id_users_ref_post",
    "ResourceSkus_List",
    "Usage_List",
    "VirtualMachines_CreateOrUpdate",
    "VirtualMachines_Delete",
    "VirtualMachines_Get",
    "VirtualMachineExtensions_CreateOrUpdate",
    "VirtualMachineExtensions_Delete",
    "VirtualMachineExtensions_Get",
    "VirtualMachineRunCommands_CreateOrUpdate",
    "VirtualMachineRunCommands_Delete",
    "VirtualMachineRunCommands_GetByVirtualMachine",
    "VirtualMachineRunCommands_ListByVirtualMachine",
    "Disks_Delete",
    "NatGateways_CreateOrUpdate",
    "NatGateways_Get",
    "NetworkInterfaces_CreateOrUpdate",
    "NetworkInterfaces_Delete",
    "NetworkInterfaces_Get",
    "NetworkSecurityGroups_CreateOrUpdate",
    "NetworkSecurityGroups_Get",
    "PublicIPAddresses_CreateOrUpdate",
    "PublicIPAddresses_Get",
    "VirtualNetworks_CreateOrUpdate",
    "VirtualNetworks_Get",
    "VirtualNetworks_List",
    "HostPools_CreateOrUpdate",
    "HostPools_Get",
    "HostPools_RetrieveRegistrationToken",
    "HostPools_Update",
    "ApplicationGroups_CreateOrUpdate",
    "ApplicationGroups_Get",
    "Workspaces_CreateOrUpdate",
    "Workspaces_Get",
    "Workspaces_Update",
    "SessionHosts_Delete",
    "SessionHosts_Get",
    "CapacityReservationGroups_CreateOrUpdate",
    "CapacityReservationGroups_Delete",
    "CapacityReservations_CreateOrUpdate",
    "CapacityReservations_Delete",
    "VirtualMachineImages_Get",
    "VirtualMachines_Restart",
    "Subnets_Get",
    "SessionHosts_List",
    "SessionHosts_Update",
    "RoleAssignments_Create",
    "RoleAssignments_Delete",
    "RoleAssignments_ListForResourceGroup",
    "Resources_ListByResourceGroup",
}
"""What the product asks for: all of it must have been seen."""


async def test_a_life_is_as_described(
    descriptions: Descriptions, exchanges: list[Exchange], lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(JOIN_PASSWORD_VARIABLE, JOIN_PASSWORD)
    await _unknown_user(lab)
    await _warnings_then_reprovisioned_then_deprovisioned(lab)
    await _administrator_on_the_second_try(lab)
    await _failed_where_there_are_no_zones(lab)
    await _hybrid_with_a_reservation_then_deprovisioned(lab)
    await _terminated_then_repaired(lab)

    contract = Contract(descriptions)
    violations = contract.violations(exchanges)

    assert not violations, f"{len(violations)} violations\n" + "\n".join(map(str, violations))
    assert contract.operations >= OPERATIONS


async def _start_by_policy(lab: Lab, user: str) -> WorkflowHandle[ProvisionWorkflow, ProvisionResponse]:
    request = ProvisionRequest(policy=policy(), service_plan=lab.service_plan, user=user)
    return await lab.client.start_workflow(
        ProvisionWorkflow.run, request, id=f"provision-{uuid.uuid4()}", task_queue=lab.task_queue
    )


async def _hybrid_with_a_reservation_then_deprovisioned(lab: Lab) -> None:
    """Over the customer's own network, in another language, after the first size was refused."""
    lab.cloud.resources.capacity.refuse("westeurope", lab.service_plan.vm_sizes[0], "AllocationFailed")
    changes = {"capacityReservation": True, "windowsSetting": {"locale": "de-DE"}, "userAccountType": "administrator"}
    made = joining("hybridAzureADJoin", connection(), **changes)
    handle = await lab.start(made, "grace@contoso.com", [connection()])
    pc = await lab.settled(handle)
    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail or pc.warnings
    await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
    await lab.ended(handle)


async def _terminated_then_repaired(lab: Lab) -> None:
    """What is left is found beside a Cloud PC that lives, and taken away."""
    living = await lab.provisioned()
    handle = await lab.start(policy(id="sales"))
    await lab.settled(handle)
    await handle.terminate("by hand")
    request = AuditRequest(older_than_minutes=0)
    found: AuditResponse = await lab.client.execute_workflow(
        AuditWorkflow.run, request, id=f"audit-{uuid.uuid4()}", task_queue=lab.task_queue
    )
    agreed = tuple(finding.id for finding in found.findings if not finding.kept)
    response: RepairResponse = await lab.client.execute_workflow(
        RepairWorkflow.run,
        RepairRequest(older_than_minutes=0, finding_ids=agreed),
        id=f"repair-{uuid.uuid4()}",
        task_queue=lab.task_queue,
    )
    assert agreed and not set(agreed) & {finding.id for finding in response.after.findings}
    assert living.virtual_machine_id in lab.exists("Microsoft.Compute/virtualMachines")


async def _unknown_user(lab: Lab) -> None:
    starter = await _start_by_policy(lab, "nobody@contoso.com")
    with pytest.raises(WorkflowFailureError):
        await starter.result()


async def _warnings_then_reprovisioned_then_deprovisioned(lab: Lab) -> None:
    lab.cloud.defects["recovery-environment"] = 1
    started = await (await _start_by_policy(lab, "ada@contoso.com")).result()
    handle = lab.client.get_workflow_handle_for(CloudPcWorkflow.run, started.cloud_pc_id)
    lab.handles.append(handle)
    assert (await lab.settled(handle)).status == CloudPcStatus.PROVISIONED_WITH_WARNINGS

    # Somebody took the desktop out of the workspace.
    [workspace] = lab.exists("Microsoft.DesktopVirtualization/workspaces")
    lab.resource(workspace).body["properties"]["applicationGroupReferences"] = []
    await lab.signal(handle, "reprovision", b"{}")
    assert (await lab.settled(handle, attempt=2)).status == CloudPcStatus.PROVISIONED

    await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
    await handle.result()


async def _administrator_on_the_second_try(lab: Lab) -> None:
    """The extension's operation fails once, and the host pool's settings have changed."""
    lab.fail("PUT", r"extensions/AADLoginForWindows$", "VMExtensionProvisioningError", when="operation")
    made = await lab.provisioned(
        policy(userAccountType="administrator", enableSingleSignOn=False), user="grace@contoso.com"
    )
    assert made.status == CloudPcStatus.PROVISIONED, made.status_detail


async def _failed_where_there_are_no_zones(lab: Lab) -> None:
    """The machine is refused, and its network interface is taken away again."""
    lab.cloud.resources.capacity.regions["uksouth"]["zones"] = []
    lab.fail("PUT", r"virtualMachines/[^/]+$")
    made = await lab.provisioned(policy(domainJoinConfigurations=[{"regionName": "uksouth"}]))
    assert made.status == CloudPcStatus.FAILED
