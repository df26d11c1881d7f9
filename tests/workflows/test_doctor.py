"""The doctor: all is well in the simulated cloud, and what is switched off is named with the command that mends it."""

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from cloud.arm.role_assignments import (
    DESKTOP_VIRTUALIZATION_USER,
    VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN,
    VIRTUAL_MACHINE_USER_LOGIN,
)
from domain.permissions import AZURE_ACTIONS, GRAPH_PERMISSIONS, AzureScope
from local_stack import ROOT
from models.doctor import Check, CheckState, Identity
from simulator.arm.capacity import CORES, Restriction
from simulator.cloud import CLIENT_ID, RESOURCE_GROUP, SUBSCRIPTION_ID
from tests.workflows.conftest import Lab
from workflows.doctor import DoctorRequest, DoctorResponse, DoctorWorkflow


@pytest.fixture
def max_cached_workflows() -> int:
    """Replayed only; the checks have no history worth a second run."""
    return 0


async def checks(lab: Lab, **changes: Any) -> list[Check]:
    request: dict[str, Any] = {
        "service_plans": (lab.service_plan,),
        "are_plans_wanted": True,
        "is_single_sign_on_wanted": True,
    }
    response: DoctorResponse = await lab.client.execute_workflow(
        DoctorWorkflow.run, DoctorRequest(**request | changes), id=f"doctor-{uuid.uuid4()}", task_queue=lab.task_queue
    )
    return list(response.checks)


def not_passed(found: list[Check]) -> list[Check]:
    return [check for check in found if check.state != CheckState.PASSED]


async def test_all_is_well_in_the_simulated_cloud(lab: Lab) -> None:
    found = await checks(lab)
    assert not_passed(found) == []
    names = [check.name for check in found]
    for permission in GRAPH_PERMISSIONS:
        assert f"Graph permission {permission.name}" in names
    assert f"Resource group {RESOURCE_GROUP}" in names
    assert "Service plan CPC_E_2C_8GB_128GB in westeurope" in names
    assert not lab.cloud.ledger.entries, "nothing is changed"


def take_permission(lab: Lab) -> None:
    lab.cloud.directory.graph_permissions.remove("Device.ReadWrite.All")


def take_role(lab: Lab) -> None:
    lab.cloud.resources.roles.remove("Role Based Access Control Administrator")


def unregister(lab: Lab) -> None:
    lab.cloud.resources.unregistered.add("microsoft.desktopvirtualization")


def use_up_quota(lab: Lab) -> None:
    lab.cloud.resources.capacity.limits["westeurope", CORES] = 1


def restrict_sizes(lab: Lab) -> None:
    capacity = lab.cloud.resources.capacity
    capacity.restrictions += [Restriction(size, "westeurope") for size in lab.service_plan.vm_sizes]


def disable_single_sign_on(lab: Lab) -> None:
    for principal in lab.cloud.directory.service_principals.values():
        if principal["displayName"] == "Windows Cloud Login":
            principal["remoteDesktopSecurityConfiguration"]["isRemoteDesktopProtocolEnabled"] = False


def forget_application(lab: Lab) -> None:
    principals = lab.cloud.directory.service_principals
    del principals[next(id for id, item in principals.items() if item["displayName"] == "Microsoft Remote Desktop")]


def suspend_intune(lab: Lab) -> None:
    for sku in lab.cloud.directory.skus.values():
        sku["servicePlans"] = [plan for plan in sku["servicePlans"] if plan["servicePlanName"] != "INTUNE_A"]


@pytest.mark.parametrize(
    ("switch_off", "name", "detail", "remedy"),
    [
        (
            take_permission,
            "Graph permission Device.ReadWrite.All",
            "delete its device",
            f"az ad app permission add --id {CLIENT_ID} --api 00000003-0000-0000-c000-000000000000 "
            "--api-permissions 1138cb37-bd11-4084-a2b7-9f71582aeddb=Role",
        ),
        (
            take_role,
            "Azure actions",
            "Microsoft.Authorization/roleAssignments/write, Microsoft.Authorization/roleAssignments/delete",
            f"--scope /subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{RESOURCE_GROUP}",
        ),
        (
            unregister,
            "Resource provider Microsoft.DesktopVirtualization",
            "NotRegistered",
            f"az provider register --subscription {SUBSCRIPTION_ID} --namespace Microsoft.DesktopVirtualization --wait",
        ),
        (
            use_up_quota,
            "Service plan CPC_E_2C_8GB_128GB in westeurope",
            "quota cores has no room, 0 of 1 used",
            "az quota update --resource-name cores",
        ),
        (restrict_sizes, "Service plan CPC_E_2C_8GB_128GB in westeurope", "restricted", "choose another region"),
        (
            disable_single_sign_on,
            "Single sign-on, Windows Cloud Login",
            "isRemoteDesktopProtocolEnabled is false",
            "Update-MgServicePrincipalRemoteDesktopSecurityConfiguration -IsRemoteDesktopProtocolEnabled",
        ),
        (forget_application, "Single sign-on, Microsoft Remote Desktop", "no service principal", "a4a365df"),
        (suspend_intune, "Licences of Microsoft Intune", "no subscription with it is enabled", "admin center"),
    ],
)
async def test_what_is_switched_off_fails_alone_and_names_its_remedy(
    lab: Lab, switch_off: Callable[[Lab], None], name: str, detail: str, remedy: str
) -> None:
    switch_off(lab)
    [check] = not_passed(await checks(lab))
    assert (check.name, check.state) == (name, CheckState.FAILED)
    assert detail in check.detail and remedy in check.remedy


async def test_what_is_not_needed_for_sure_is_a_warning(lab: Lab) -> None:
    lab.cloud.directory.graph_permissions.remove("Application.Read.All")
    use_up_quota(lab)
    disable_single_sign_on(lab)
    found = not_passed(await checks(lab, are_plans_wanted=False, is_single_sign_on_wanted=False))
    assert {check.state for check in found} == {CheckState.WARNING}
    assert len(found) == 3


async def test_a_check_that_is_refused_says_so_and_stops_no_other(lab: Lab) -> None:
    lab.fail("GET", r"/subscribedSkus$", code="Authorization_RequestDenied", status=403)
    lab.fail("GET", r"/providers/Microsoft.Authorization/permissions$", code="AuthorizationFailed", status=403)
    refused = {check.name: check for check in not_passed(await checks(lab))}
    assert set(refused) == {"Licences", "Azure actions"}
    assert {check.state for check in refused.values()} == {CheckState.NOT_CHECKED}
    assert "e2f98668-2877-4f38-a2f4-8202e0717aa1=Role" in refused["Licences"].remedy
    assert "Microsoft.Authorization/permissions/read" in refused["Azure actions"].remedy


async def test_a_missing_resource_group_and_a_region_that_is_none(lab: Lab) -> None:
    group = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{RESOURCE_GROUP}"
    lab.fail("GET", rf"{group}$", code="ResourceGroupNotFound", status=404)
    found = {check.name: check for check in not_passed(await checks(lab, regions=("atlantis",)))}
    assert f"az group create --subscription {SUBSCRIPTION_ID}" in found[f"Resource group {RESOURCE_GROUP}"].remedy
    assert "westeurope" in found["Region atlantis"].remedy
    assert found["Service plans in atlantis"].state == CheckState.NOT_CHECKED


def test_the_files_for_an_admin_hold_exactly_what_is_checked() -> None:
    folder = ROOT / "examples" / "real-tenant"
    for scope in AzureScope:
        role = json.loads((folder / f"{scope}.json").read_text(encoding="utf-8"))
        assert role["Actions"] == [action.name for action in AZURE_ACTIONS[scope]], scope
        assert not role["NotActions"] and not role["DataActions"] and not role["NotDataActions"]
    [manifest] = json.loads((folder / "graph-permissions.json").read_text(encoding="utf-8"))
    assert manifest["resourceAccess"] == [{"id": each.app_role_id, "type": "Role"} for each in GRAPH_PERMISSIONS]
    condition = (folder / "role-assignment-condition.txt").read_text(encoding="utf-8")
    granted = {DESKTOP_VIRTUALIZATION_USER, VIRTUAL_MACHINE_USER_LOGIN, VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN}
    assert [set(roles.split(", ")) for roles in re.findall(r"GuidEquals \{(.*?)\}", condition)] == [granted, granted]
    text = (ROOT / "docs" / "real-tenant.md").read_text(encoding="utf-8")
    for permission in GRAPH_PERMISSIONS:
        assert f"| `{permission.name}` | `{permission.app_role_id}` |" in text


def test_a_managed_identity_is_granted_by_an_app_role_assignment() -> None:
    command = GRAPH_PERMISSIONS[0].grant_command(
        Identity(object_id="5e71c000-0000-4000-8000-000000000001", is_managed=True)
    )
    assert "servicePrincipals/5e71c000-0000-4000-8000-000000000001/appRoleAssignments" in command
    assert '\\"appRoleId\\":\\"df021288-bdef-4463-88db-98f22de89214\\"' in command
