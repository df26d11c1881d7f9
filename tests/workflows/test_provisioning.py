"""The three stages, end to end: real engine, real clients, simulated cloud."""

import re

from contract import steps
from contract.steps import steps_of
from models.cloud_pc import CloudPcStatus, Stage, StepState
from tests.workflows.conftest import Lab, policy, step


async def test_provisions_a_cloud_pc(lab: Lab) -> None:
    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail or pc.warnings
    ended = {status.step: status.state for status in pc.steps}
    assert ended.pop(steps.ASSIGN_USER_AS_ADMINISTRATOR.name) == StepState.NOT_APPLICABLE
    assert set(ended.values()) == {StepState.SUCCEEDED}
    assert set(ended) | {steps.ASSIGN_USER_AS_ADMINISTRATOR.name} == {
        listed.name
        for stage in (Stage.CORE_PROVISIONING, Stage.POST_PROVISIONING, Stage.ASSIGNMENT)
        for listed in steps_of(stage, policy())
    }
    for status in pc.steps:
        if status.state == StepState.SUCCEEDED:
            assert status.attempts and status.attempts >= 1
            assert status.start_date_time and status.duration_in_seconds is not None

    [machine_id] = lab.exists("Microsoft.Compute/virtualMachines")
    assert machine_id == pc.virtual_machine_id
    machine = lab.resource(machine_id)
    properties = machine.body["properties"]
    assert properties["storageProfile"]["osDisk"]["diskSizeGB"] == 128
    assert properties["securityProfile"]["securityType"] == "TrustedLaunch"
    assert properties["licenseType"] == "Windows_Client"
    assert machine.body["tags"]["cloudPcId"] == pc.id
    assert len(pc.computer_name) <= 15 and pc.computer_name.startswith("CPC-ada-")

    [interface_id] = lab.exists("Microsoft.Network/networkInterfaces")
    [configuration] = lab.resource(interface_id).body["properties"]["ipConfigurations"]
    assert "publicIPAddress" not in configuration["properties"]
    assert configuration["properties"]["privateIPAddress"] == pc.private_ip_address
    [network_id] = lab.exists("Microsoft.Network/virtualNetworks", "rg-cloud-pcs")
    assert pc.network_id == f"{network_id}/subnets/cloud-pcs"
    assert len(lab.exists("Microsoft.Compute/disks")) == 1

    [device] = lab.cloud.directory.devices.values()
    assert device["deviceId"] == pc.entra_device_id
    assert f"[AzureResourceId]:{machine_id}" in device["physicalIds"]
    [managed] = lab.cloud.directory.managed_devices.values()
    assert managed["azureADDeviceId"] == pc.entra_device_id and managed["id"] == pc.managed_device_id
    assert pc.primary_user == "ada@contoso.com"

    [host_id] = lab.exists("Microsoft.DesktopVirtualization/hostPools/sessionHosts")
    host = await lab.clients.desktop_virtualization.session_hosts.get(
        "rg-cloud-pcs", pc.host_pool or "", host_id.rpartition("/")[2]
    )
    assert (host.status, host.assigned_user) == ("Available", "ada@contoso.com")
    [pool_id] = lab.exists("Microsoft.DesktopVirtualization/hostPools")
    assert "enablerdsaadauth:i:1" in lab.resource(pool_id).body["properties"]["customRdpProperty"]
    granted = [lab.resource(role).body["properties"] for role in lab.exists("Microsoft.Authorization/roleAssignments")]
    assert {role["principalId"] for role in granted} == {pc.user.id}
    assert {role["roleDefinitionId"].rpartition("/")[2] for role in granted} == {
        "1d18fff3-a72a-46b5-b4a9-0b38a3cd7e63",
        "fb879df8-f326-4884-b1cf-06f3ad86be52",
    }
    assert lab.exists("Microsoft.Compute/virtualMachines/runCommands") == []


async def test_sets_windows_up_as_documented(lab: Lab) -> None:
    await lab.provisioned()
    [guest] = lab.cloud.guests.values()

    def value(path: str, name: str) -> object:
        key = guest.registry_key(path)
        assert key is not None, path
        return key.values[name.lower()].value

    assert value(r"HKLM:\Software\Microsoft\PolicyManager\default\Start\HideShutDown", "value") == 1
    assert value(r"HKLM:\Software\Microsoft\Windows\CurrentVersion\Policies\System", "ShutDownWithoutLogon") == 0
    assert value(r"HKLM:\Software\Microsoft\Teams", "IsWVDEnvironment") == 1
    assert value(r"HKLM:\Software\Policies\Microsoft\Windows NT\Terminal Services", "fEnableTimeZoneRedirection") == 1
    assert not guest.recovery_environment_enabled
    assert not guest.inbound_port_open(3389, "TCP") and not guest.inbound_port_open(3389, "UDP")


async def test_makes_the_user_an_administrator_where_the_policy_says_so(lab: Lab) -> None:
    pc = await lab.provisioned(policy(userAccountType="administrator"), user="grace@contoso.com")

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail or pc.warnings
    assert step(pc, steps.ASSIGN_USER_AS_ADMINISTRATOR).state == StepState.SUCCEEDED
    [guest] = lab.cloud.guests.values()
    [administrators] = [group for group in guest.groups if group.sid == "S-1-5-32-544"]
    assert r"AzureAD\grace@corp.contoso.com" in administrators.members
    roles = [
        lab.resource(role).body["properties"]["roleDefinitionId"].rpartition("/")[2]
        for role in lab.exists("Microsoft.Authorization/roleAssignments")
    ]
    assert "1c0163c0-47e6-4577-8991-ea5c82e286e4" in roles


async def test_the_registration_token_stays_out_of_the_history(lab: Lab) -> None:
    lab.cloud.defects["avd-agent"] = 1
    handle = await lab.start()
    pc = await lab.settled(handle)
    assert pc.status_detail is not None and pc.status_detail.code == "GuestScriptFailed"

    [pool_id] = lab.exists("Microsoft.DesktopVirtualization/hostPools")
    pool = lab.resource(pool_id)
    token: str = pool.private["registration"]["token"]
    written = b"".join([event.SerializeToString() for event in (await handle.fetch_history()).events])
    assert pc.computer_name.encode() in written
    assert token.encode() not in written and token not in pc.model_dump_json()


async def test_two_cloud_pcs_share_network_and_host_pool(lab: Lab) -> None:
    first, second = await lab.start(), await lab.start(user="grace@contoso.com")
    assert (await lab.settled(first)).status == CloudPcStatus.PROVISIONED
    assert (await lab.settled(second)).status == CloudPcStatus.PROVISIONED

    assert len(lab.exists("Microsoft.Compute/virtualMachines")) == 2
    assert len(lab.exists("Microsoft.Network/virtualNetworks", "rg-cloud-pcs")) == 1
    assert len(lab.exists("Microsoft.Network/natGateways", "rg-cloud-pcs")) == 1
    assert len(lab.exists("Microsoft.DesktopVirtualization/hostPools")) == 1
    assert len(lab.exists("Microsoft.DesktopVirtualization/hostPools/sessionHosts")) == 2


async def test_many_at_once_share_one_registration_token(lab: Lab) -> None:
    handles = [await lab.start() for _ in range(4)]
    assert [(await lab.settled(handle)).status for handle in handles] == [CloudPcStatus.PROVISIONED] * 4
    assert len(lab.exists("Microsoft.DesktopVirtualization/hostPools/sessionHosts")) == 4


async def test_what_every_cloud_pc_reads_alike_is_read_once(lab: Lab) -> None:
    # The first one has made the network and the host pool, the second one has found them.
    await lab.provisioned()
    await lab.provisioned()
    requests = lab.cloud.ledger.requests
    alike = [
        kind
        for kind in requests
        if re.fullmatch(
            r"GET (Microsoft.Compute/(skus|locations/{name}/(usages|publishers/.*))|Microsoft.Network/virtualNetworks"
            r"|Microsoft.DesktopVirtualization/(hostPools|applicationGroups|workspaces)/{name})",
            kind,
        )
    ]
    assert len(alike) == 7, requests
    before = {kind: requests[kind] for kind in alike}

    await lab.provisioned()

    assert {kind: requests[kind] for kind in alike} == before
    assert not requests["GET Microsoft.DesktopVirtualization/hostPools/{name}/sessionHosts"], "it grows with the fleet"


async def test_a_session_host_of_another_name_is_found_among_all(lab: Lab) -> None:
    # Two looks an attempt, but for the tenth's second one.
    lab.fail("GET", r"/sessionHosts/[^/]+$", "NotFound", 404, times=19)

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert step(pc, steps.REGISTER_SESSION_HOST).attempts == 10
    assert lab.cloud.ledger.requests["GET Microsoft.DesktopVirtualization/hostPools/{name}/sessionHosts"] == 1


async def test_quota_that_was_raised_is_seen_at_once(lab: Lab) -> None:
    capacity = lab.cloud.resources.capacity
    capacity.set_limit("westeurope", 0)
    refused = await lab.provisioned()
    assert refused.status_detail and refused.status_detail.code == "NoCapacity"
    capacity.set_limit("westeurope", 100)

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
