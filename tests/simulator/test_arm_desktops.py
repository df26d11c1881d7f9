"""Azure Virtual Desktop and role assignments of the simulated Resource Manager, by the real SDK clients."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters
from azure.mgmt.desktopvirtualization.models import (
    ApplicationGroup,
    HostPool,
    HostPoolPatch,
    RegistrationInfoPatch,
    SessionHostPatch,
    Workspace,
)

from cloud.clients import CloudClients
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.cloud import SUBSCRIPTION_ID
from simulator.server import SimulatorServer

from .arm import GROUP_ID, Arm, refusal

USER_LOGIN = "fb879df8-f326-4884-b1cf-06f3ad86be52"
POOL = {
    "location": "westeurope",
    "host_pool_type": "Personal",
    "personal_desktop_assignment_type": "Direct",
    "load_balancer_type": "Persistent",
    "preferred_app_group_type": "Desktop",
    "start_vm_on_connect": True,
}


@pytest.fixture
def arm(simulator: SimulatorServer, clients: CloudClients) -> Arm:
    """A simulated Resource Manager with clients for it."""
    return Arm(simulator.cloud, clients)


async def new_token(arm: Arm) -> str:
    """Make the host pool `pool`, or a new registration token of it."""
    pools = arm.clients.desktop_virtualization.host_pools
    await pools.create_or_update(GROUP, "pool", HostPool(**POOL))
    wanted = RegistrationInfoPatch(
        expiration_time=datetime.now(UTC) + timedelta(hours=2), registration_token_operation="Update"
    )
    patched = await pools.update(GROUP, "pool", HostPoolPatch(registration_info=wanted))
    assert patched.registration_info is not None and patched.registration_info.token
    return patched.registration_info.token


async def register(arm: Arm, name: str, token: str) -> Any:
    """Make a machine whose agent holds a token, run some script in it, and return its guest."""
    machine = await arm.machine(name)
    guest = arm.cloud.guests[machine.id.lower()]
    guest.avd_registration_token = token
    await arm.run(name, "install", "exit 0")
    return guest


async def test_a_token_is_shown_to_who_asks_for_it_only(arm: Arm) -> None:
    token = await new_token(arm)
    pools = arm.clients.desktop_virtualization.host_pools
    pool = await pools.get(GROUP, "pool")
    assert pool.registration_info.token is None and pool.registration_info.expiration_time
    assert (await pools.retrieve_registration_token(GROUP, "pool")).token == token
    assert [item.token for item in (await pools.list_registration_tokens(GROUP, "pool")).value] == [token]
    assert await new_token(arm) != token


async def test_a_machine_with_the_token_becomes_a_session_host(arm: Arm) -> None:
    guest = await register(arm, "pc1", await new_token(arm))
    hosts = arm.clients.desktop_virtualization.session_hosts
    host = await hosts.get(GROUP, "pool", "pc1")
    machine = await arm.clients.compute.virtual_machines.get(GROUP, "pc1")

    assert (host.resource_id, host.virtual_machine_id) == (machine.id, machine.properties.vm_id)
    assert host.status == "NotJoinedToDomain"
    await arm.join("pc1")
    assert (await hosts.get(GROUP, "pool", "pc1")).status == "Available"
    assert guest.avd_registration_token is None
    assert [found.name async for found in hosts.list(GROUP, "pool")] == ["pc1"]

    await (await arm.clients.compute.virtual_machines.begin_deallocate(GROUP, "pc1")).result()
    assert (await hosts.get(GROUP, "pool", "pc1")).status == "Shutdown"
    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "pc1")).result()
    assert (await hosts.get(GROUP, "pool", "pc1")).status == "Unavailable"
    await hosts.delete(GROUP, "pool", "pc1", force=True)
    with pytest.raises(ResourceNotFoundError):
        await hosts.get(GROUP, "pool", "pc1")


async def test_a_token_that_is_not_live_leads_nowhere(arm: Arm) -> None:
    old = await new_token(arm)
    await new_token(arm)
    guest = await register(arm, "pc1", old)
    assert guest.avd_registration_token == old
    assert [host async for host in arm.clients.desktop_virtualization.session_hosts.list(GROUP, "pool")] == []


async def test_a_name_must_be_freed_before_another_machine_has_it(arm: Arm) -> None:
    token = await new_token(arm)
    await register(arm, "pc1", token)
    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "pc1")).result()
    guest = await register(arm, "pc1", token)
    assert guest.avd_registration_token == token
    await arm.clients.desktop_virtualization.session_hosts.delete(GROUP, "pool", "pc1")
    await arm.run("pc1", "look", "exit 0")
    assert guest.avd_registration_token is None


async def test_assigning_a_session_host(arm: Arm) -> None:
    await register(arm, "pc1", await new_token(arm))
    hosts = arm.clients.desktop_virtualization.session_hosts
    for _ in range(2):
        host = await hosts.update(GROUP, "pool", "pc1", session_host=SessionHostPatch(assigned_user="a@contoso.com"))
        assert host.assigned_user == "a@contoso.com"
    for other in ("b@contoso.com", ""):
        with pytest.raises(HttpResponseError):
            await hosts.update(GROUP, "pool", "pc1", session_host=SessionHostPatch(assigned_user=other))
    host = await hosts.update(GROUP, "pool", "pc1", force=True, session_host=SessionHostPatch(assigned_user=""))
    assert not host.assigned_user


async def test_application_group_desktop_and_workspace(arm: Arm) -> None:
    desktops = arm.clients.desktop_virtualization
    await new_token(arm)
    pool_id = f"{GROUP_ID}/providers/Microsoft.DesktopVirtualization/hostPools/pool"
    body = ApplicationGroup(location="westeurope", host_pool_arm_path=pool_id.upper(), application_group_type="Desktop")
    group = await desktops.application_groups.create_or_update(GROUP, "apps", body)
    assert group.host_pool_arm_path == pool_id
    with pytest.raises(HttpResponseError):
        await desktops.application_groups.create_or_update(GROUP, "second", body)
    wanted = Workspace(location="westeurope", application_group_references=[group.id])
    workspace = await desktops.workspaces.create_or_update(GROUP, "desk", wanted)
    assert workspace.application_group_references == [group.id]
    assert (await desktops.application_groups.get(GROUP, "apps")).workspace_arm_path == workspace.id
    assert (await desktops.host_pools.get(GROUP, "pool")).application_group_references == [group.id]
    assert [desktop.name async for desktop in desktops.desktops.list(GROUP, "apps")] == ["SessionDesktop"]
    with pytest.raises(HttpResponseError):
        await desktops.host_pools.delete(GROUP, "pool")
    await desktops.workspaces.delete(GROUP, "desk")
    await desktops.application_groups.delete(GROUP, "apps")
    await desktops.host_pools.delete(GROUP, "pool")
    assert arm.made() == []


async def test_host_pools_are_listed_in_pages(arm: Arm) -> None:
    pools = arm.clients.desktop_virtualization.host_pools
    for number in range(3):
        await pools.create_or_update(GROUP, f"pool{number}", HostPool(**POOL))
    assert [pool.name async for pool in pools.list_by_resource_group(GROUP, page_size=2)] == ["pool0", "pool1", "pool2"]


# Role assignments


def body_of(principal_id: str, role: str = USER_LOGIN) -> Any:
    """Return the SDK's model of a role assignment."""
    role_id = f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    return RoleAssignmentCreateParameters(role_definition_id=role_id, principal_id=principal_id, principal_type="User")


async def test_role_assignments(arm: Arm) -> None:
    machine = await arm.machine("pc1")
    roles = arm.clients.authorization.role_assignments
    first, second = list(arm.cloud.directory.users)[:2]
    name, other = str(uuid.uuid4()), str(uuid.uuid4())

    made = await roles.create(machine.id, name, body_of(first))
    assert (made.scope, made.principal_id, made.principal_type) == (machine.id, first, "User")
    assert (await roles.create(machine.id, name, body_of(first))).id == made.id
    assert arm.cloud.ledger.entries[-1].effect == "none"
    with pytest.raises(ResourceExistsError) as exists:
        await roles.create(machine.id, other, body_of(first))
    assert exists.value.error and exists.value.error.code == "RoleAssignmentExists"
    update = await refusal(roles.create(machine.id, name, body_of(second)))
    assert update.error.code == "RoleAssignmentUpdateNotPermitted"
    unknown = await refusal(roles.create(machine.id, other, body_of(str(uuid.uuid4()))))
    assert unknown.error.code == "PrincipalNotFound"
    role = await refusal(roles.create(machine.id, other, body_of(second, str(uuid.uuid4()))))
    assert role.error.code == "RoleDefinitionDoesNotExist"

    wide = await roles.create(GROUP_ID, other, body_of(second))
    assert [found.id async for found in roles.list_for_scope(machine.id)] == [made.id, wide.id]
    assert [found.id async for found in roles.list_for_scope(GROUP_ID, filter="atScope()")] == [wide.id]
    found = [item.id async for item in roles.list_for_subscription(filter=f"principalId eq '{first}'")]
    assert found == [made.id]

    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "pc1")).result()
    assert [item.id async for item in roles.list_for_subscription()] == [wide.id]
    assert (await roles.delete(GROUP_ID, other)).id == wide.id
    assert await roles.delete(GROUP_ID, other) is None
    with pytest.raises(ResourceNotFoundError):
        await roles.get(GROUP_ID, other)


async def test_role_definitions(arm: Arm) -> None:
    definitions = arm.clients.authorization.role_definitions
    wanted = "roleName eq 'Virtual Machine User Login'"
    assert [role.name async for role in definitions.list(GROUP_ID, filter=wanted)] == [USER_LOGIN]
    assert (await definitions.get(GROUP_ID, USER_LOGIN)).role_name == "Virtual Machine User Login"
