"""Virtual machines, extensions and run commands of the simulated Resource Manager, by the real SDK clients."""

from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError

from cloud.clients import CloudClients
from simulator.arm.capacity import Restriction
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.cloud import SUBSCRIPTION_ID
from simulator.faults import Fault
from simulator.server import SimulatorServer

from .arm import GROUP_ID, Arm, code_of, entra_join_body, machine_body, network_id, refusal, run_command_body

INTUNE = {"mdmId": "0000000a-0000-0000-c000-000000000000"}


@pytest.fixture
def arm(simulator: SimulatorServer, clients: CloudClients) -> Arm:
    """A simulated Resource Manager with clients for it."""
    return Arm(simulator.cloud, clients)


async def put(arm: Arm, name: str, **changes: Any) -> Any:
    """PUT a machine whose interface exists."""
    return await arm.clients.compute.virtual_machines.begin_create_or_update(GROUP, name, machine_body(name, **changes))


async def test_a_machine_is_created_with_disk_interface_identity_and_guest(arm: Arm) -> None:
    machine = await arm.machine("pc1", zones=["2"], tags={"owner": "me"})

    assert machine.properties.provisioning_state == "Succeeded"
    assert machine.properties.vm_id and machine.properties.time_created and machine.identity.principal_id
    assert machine.properties.storage_profile.image_reference.exact_version == "26100.4652.250710"
    assert "adminPassword" not in str(machine.as_dict())
    disk = await arm.clients.compute.disks.get(GROUP, "pc1-disk")
    assert (disk.managed_by, disk.zones, disk.properties.disk_size_gb) == (machine.id, ["2"], 127)
    interface = await arm.clients.network.network_interfaces.get(GROUP, "pc1-nic")
    assert interface.properties.virtual_machine.id == machine.id
    assert interface.properties.mac_address
    guest = arm.cloud.guests[machine.id.lower()]
    assert (guest.computer_name, guest.vm_id) == ("pc1", machine.id)

    operations = arm.clients.compute.virtual_machines
    seen = await operations.get(GROUP, "PC1", expand="instanceView")
    view = await operations.instance_view(GROUP, "pc1")
    assert [status.code for status in view.statuses] == ["ProvisioningState/succeeded", "PowerState/running"]
    assert view.vm_agent.statuses[0].display_status == "Ready"
    assert seen.id == machine.id and seen.properties.instance_view.computer_name == "pc1"


async def test_the_same_put_again_is_an_update_of_the_same_machine(arm: Arm) -> None:
    first = await arm.machine("pc1")
    again = await (await put(arm, "pc1", tags={"a": "b"})).result()

    assert (again.properties.vm_id, again.identity.principal_id) == (
        first.properties.vm_id,
        first.identity.principal_id,
    )
    assert again.tags == {"a": "b"} and again.etag != first.etag
    assert arm.cloud.ledger.entries[-1].status == 200
    assert [entry.effect for entry in arm.cloud.ledger.entries][-2:] == ["created", "updated"]


@pytest.mark.parametrize(
    ("target", "changes"),
    [
        ("adminPassword", {"osProfile": {"adminPassword": "Another-Horse-8"}}),
        ("computerName", {"osProfile": {"computerName": "pc2"}}),
        ("imageReference", {"storageProfile": {"imageReference": {"sku": "win11-25h2-ent"}}}),
        ("osDisk.name", {"storageProfile": {"osDisk": {"name": "other", "createOption": "FromImage"}}}),
        ("securityProfile.securityType", {"securityProfile": {"securityType": "Standard"}}),
        ("zones", {"zones": ["1"]}),
    ],
)
async def test_what_cannot_be_changed(arm: Arm, target: str, changes: dict[str, Any]) -> None:
    await arm.machine("pc1")
    image = machine_body("pc1")["properties"]["storageProfile"]["imageReference"]
    if "storageProfile" in changes:
        changes["storageProfile"]["imageReference"] = {**image, **changes["storageProfile"].get("imageReference", {})}

    error = await refusal(put(arm, "pc1", **changes))

    assert (error.status_code, error.error.code, error.error.target) == (409, "PropertyChangeNotAllowed", target)


async def test_if_none_match_refuses_what_exists(arm: Arm) -> None:
    await arm.machine("pc1")
    operations = arm.clients.compute.virtual_machines
    request = operations.begin_create_or_update(
        GROUP, "pc1", machine_body("pc1"), etag="*", match_condition=MatchConditions.IfMissing
    )
    assert await code_of(request) == (412, "PreconditionFailed")


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ((400, "InvalidParameter"), {"hardwareProfile": {"vmSize": "Standard_Nope"}}),
        ((409, "SkuNotAvailable"), {"hardwareProfile": {"vmSize": "Standard_D2als_v6"}}),
        ((409, "SkuNotAvailable"), {"hardwareProfile": {"vmSize": "Standard_D4as_v5"}, "zones": ["3"]}),
        ((400, "AvailabilityZoneNotSupported"), {"zones": ["4"]}),
        ((400, "BadRequest"), {"hardwareProfile": {"vmSize": "Standard_A2_v2"}}),
        ((400, "InvalidParameter"), {"licenseType": "windows_client"}),
        ((400, "InvalidParameter"), {"networkProfile": {"networkInterfaces": []}}),
        ((400, "InvalidResourceReference"), {"networkProfile": {"networkInterfaces": [{"id": "/nowhere"}]}}),
        ((400, "InvalidResourceReference"), {"location": "northeurope"}),
        ((400, "LocationNotAvailableForResourceType"), {"location": "atlantis"}),
    ],
)
async def test_machines_that_are_refused(arm: Arm, expected: tuple[int, str], changes: dict[str, Any]) -> None:
    await arm.interface("pc1-nic")
    assert await code_of(put(arm, "pc1", **changes)) == expected
    assert arm.cloud.resources.get(f"{GROUP_ID}/providers/Microsoft.Compute/virtualMachines/pc1") is None
    assert arm.cloud.ledger.entries[-1].effect == "none"


@pytest.mark.parametrize(
    ("target", "profile"),
    [
        ("computerName", {"computerName": "sixteen-letters-"}),
        ("computerName", {"computerName": "12345"}),
        ("computerName", {"computerName": "under_score"}),
        ("adminUsername", {"adminUsername": "Administrator"}),
        ("adminUsername", {"adminUsername": "a-name-of-21-letters."}),
        ("adminPassword", {"adminPassword": None}),
        ("adminPassword", {"adminPassword": "P@ssw0rd"}),
        ("adminPassword", {"adminPassword": "only_small_letters"}),
        ("adminPassword", {"adminPassword": "Sh0rt!"}),
    ],
)
async def test_operating_system_profiles_that_are_refused(arm: Arm, target: str, profile: dict[str, Any]) -> None:
    await arm.interface("pc1-nic")
    os_profile = machine_body("pc1")["properties"]["osProfile"]
    error = await refusal(put(arm, "pc1", osProfile={**os_profile, **profile}))
    assert (error.status_code, error.error.code, error.error.target) == (400, "InvalidParameter", target)


@pytest.mark.parametrize(
    ("expected", "image", "disk"),
    [
        ((404, "PlatformImageNotFound"), {"sku": "win12"}, {}),
        ((404, "PlatformImageNotFound"), {"version": "1.2.3"}, {}),
        ((400, "BadRequest"), {"offer": "windows-10", "sku": "win10-22h2-ent"}, {}),
        ((409, "OperationNotAllowed"), {}, {"diskSizeGB": 64}),
        ((400, "InvalidParameter"), {}, {"createOption": "Empty"}),
    ],
)
async def test_images_and_disks_that_are_refused(
    arm: Arm, expected: tuple[int, str], image: dict[str, Any], disk: dict[str, Any]
) -> None:
    await arm.interface("pc1-nic")
    storage = machine_body("pc1")["properties"]["storageProfile"]
    storage["imageReference"] |= image
    storage["osDisk"] |= disk
    assert await code_of(put(arm, "pc1", storageProfile=storage)) == expected


async def test_a_disk_name_is_taken_while_the_disk_exists(arm: Arm) -> None:
    await arm.machine("pc1")
    await arm.interface("pc2-nic")
    storage = machine_body("pc1")["properties"]["storageProfile"]
    assert await code_of(put(arm, "pc2", storageProfile=storage)) == (409, "ConflictingUserInput")


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        ("cores", "exceeding approved Total Regional Cores quota"),
        ("standardDSv5Family", "exceeding approved standardDSv5Family Cores quota"),
        ("virtualMachines", "exceeding approved Virtual Machines quota"),
    ],
)
async def test_quota(arm: Arm, usage: str, text: str) -> None:
    capacity = arm.cloud.resources.capacity
    capacity.limits["westeurope", usage] = 1 if usage == "virtualMachines" else 3
    await arm.machine("pc1")
    await arm.interface("pc2-nic")

    error = await refusal(put(arm, "pc2"))

    assert (error.status_code, error.error.code) == (409, "OperationNotAllowed")
    assert text in error.message and "Current Usage:" in error.message
    used = {u.name.value: (u.current_value, u.limit) async for u in arm.clients.compute.usage.list("westeurope")}
    assert used["cores"][0] == 2 and used["virtualMachines"][0] == 1
    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "pc1")).result()
    assert capacity.used[SUBSCRIPTION_ID, "westeurope", "cores"] == 0
    await (await put(arm, "pc2")).result()


async def test_sizes_are_offered_with_their_restrictions(arm: Arm) -> None:
    capacity = arm.cloud.resources.capacity
    capacity.restrictions.append(Restriction("Standard_D2s_v5", "westeurope", reason_code="QuotaId"))
    skus = [sku async for sku in arm.clients.compute.resource_skus.list(filter="location eq 'westeurope'")]
    by_name = {sku.name: sku for sku in skus}
    assert by_name["Standard_D2s_v5"].restrictions[0].reason_code == "QuotaId"
    assert by_name["Standard_D4as_v5"].restrictions[0].restriction_info.zones == ["3"]
    assert not by_name["Standard_D2as_v5"].restrictions
    assert by_name["Standard_D2as_v5"].location_info[0].zones == ["1", "2", "3"]
    capabilities = {c.name: c.value for c in by_name["Standard_D2as_v5"].capabilities}
    assert (capabilities["vCPUs"], capabilities["MemoryGB"], capabilities["PremiumIO"]) == ("2", "8", "True")
    assert "V2" in capabilities["HyperVGenerations"]


async def test_images_are_listed(arm: Arm) -> None:
    images, publisher = arm.clients.compute.virtual_machine_images, "MicrosoftWindowsDesktop"
    assert publisher in [item.name for item in await images.list_publishers("westeurope")]
    assert "windows-11" in [item.name for item in await images.list_offers("westeurope", publisher)]
    assert "win11-24h2-ent" in [item.name for item in await images.list_skus("westeurope", publisher, "windows-11")]
    versions = await images.list("westeurope", publisher, "windows-11", "win11-24h2-ent")
    image = await images.get("westeurope", publisher, "windows-11", "win11-24h2-ent", versions[-1].name)
    assert (image.name, image.properties.hyper_v_generation) == ("26100.4652.250710", "V2")
    with pytest.raises(ResourceNotFoundError):
        await images.get("westeurope", publisher, "windows-11", "nothing", "latest")


async def test_a_deleted_machine_takes_along_what_it_was_told_to(arm: Arm) -> None:
    operations = arm.clients.compute.virtual_machines
    machine = await arm.machine("pc1")
    interfaces = machine_body("pc2")["properties"]["networkProfile"]["networkInterfaces"]
    interfaces[0]["properties"] = {}
    storage = machine_body("pc2")["properties"]["storageProfile"]
    del storage["osDisk"]["deleteOption"]
    await arm.machine("pc2", networkProfile={"networkInterfaces": interfaces}, storageProfile=storage)

    await (await operations.begin_delete(GROUP, "pc1")).result()
    await (await operations.begin_delete(GROUP, "pc2")).result()

    inventory = arm.cloud.resources.inventory()
    assert "Microsoft.Compute/virtualMachines" not in inventory
    assert inventory["Microsoft.Network/networkInterfaces"] == [network_id("networkInterfaces", "pc2-nic")]
    disk = await arm.clients.compute.disks.get(GROUP, "pc2-disk")
    assert inventory["Microsoft.Compute/disks"] == [disk.id] and disk.properties.disk_state == "Unattached"
    assert machine.id.lower() not in arm.cloud.guests
    await (await arm.clients.compute.disks.begin_delete(GROUP, "pc2-disk")).result()
    await (await operations.begin_delete(GROUP, "pc1")).result()
    assert arm.cloud.ledger.entries[-1].status == 204


async def test_an_attached_disk_stays(arm: Arm) -> None:
    await arm.machine("pc1")
    assert await code_of(arm.clients.compute.disks.begin_delete(GROUP, "pc1-disk")) == (409, "OperationNotAllowed")


async def test_power_and_the_growing_of_the_disk(arm: Arm) -> None:
    operations = arm.clients.compute.virtual_machines
    machine = await arm.machine("pc1")
    grow = {"properties": {"storageProfile": {"osDisk": {"diskSizeGB": 256}}}}
    assert await code_of(operations.begin_update(GROUP, "pc1", grow)) == (409, "OperationNotAllowed")

    await (await operations.begin_deallocate(GROUP, "pc1")).result()
    view = await operations.instance_view(GROUP, "pc1")
    assert view.statuses[1].code == "PowerState/deallocated" and view.vm_agent is None
    assert await code_of(operations.begin_restart(GROUP, "pc1")) == (409, "OperationNotAllowed")
    await (await operations.begin_update(GROUP, "pc1", grow)).result()
    await (await operations.begin_start(GROUP, "pc1")).result()

    assert arm.cloud.guests[machine.id.lower()].disk.size == 256 * 1024**3
    assert (await arm.clients.compute.disks.get(GROUP, "pc1-disk")).properties.disk_size_gb == 256


async def test_a_failed_creation_leaves_a_failed_machine(arm: Arm) -> None:
    arm.cloud.faults.add(Fault("PUT", "virtualMachines/pc1$", "AllocationFailed", "No room.", when="operation"))
    await arm.interface("pc1-nic")

    error = await refusal(put(arm, "pc1"))

    assert (error.status_code, error.error.code) == (200, "AllocationFailed")
    operations = arm.clients.compute.virtual_machines
    machine = await operations.get(GROUP, "pc1", expand="instanceView")
    assert machine.properties.provisioning_state == "Failed"
    assert machine.properties.instance_view.statuses[0].code == "ProvisioningState/failed/AllocationFailed"
    assert not arm.cloud.guests
    assert arm.cloud.ledger.entries[-1].operation == "Failed"
    await (await operations.begin_delete(GROUP, "pc1")).result()
    assert arm.cloud.resources.get(network_id("networkInterfaces", "pc1-nic")) is None
    assert arm.cloud.resources.capacity.used[SUBSCRIPTION_ID, "westeurope", "cores"] == 0


async def test_defects_go_to_the_next_machines(arm: Arm) -> None:
    arm.cloud.defects["firewall"] = 1
    first, second = [await arm.machine(name) for name in ("pc1", "pc2")]
    assert arm.cloud.guests[first.id.lower()].defects == ["firewall"]
    assert arm.cloud.guests[second.id.lower()].defects == []


async def test_machines_are_listed_by_group_and_subscription(arm: Arm) -> None:
    await arm.machine("pc1", tags={"a": "1"})
    operations = arm.clients.compute.virtual_machines
    assert [(machine.name, machine.tags) async for machine in operations.list(GROUP)] == [("pc1", {"a": "1"})]
    assert [machine.name async for machine in operations.list_all()] == ["pc1"]


# Extensions


async def test_the_extension_joins_and_enrols(arm: Arm) -> None:
    machine = await arm.machine("pc1")
    extension = await arm.join("pc1", INTUNE)
    guest = arm.cloud.guests[machine.id.lower()]

    assert extension.properties.provisioning_state == "Succeeded"
    [device] = arm.cloud.directory.devices.values()
    assert (guest.entra_joined, guest.entra_device_id) == (True, device["deviceId"])
    assert f"[AzureResourceId]:{machine.id}" in device["physicalIds"]
    operations = arm.clients.compute.virtual_machines
    *_, seen = [await operations.get(GROUP, "pc1", expand="instanceView") for _ in range(20)]
    assert guest.mdm_enrolled
    assert seen.properties.instance_view.extensions[0].statuses[0].code == "ProvisioningState/succeeded"
    assert seen.resources[0].name == "join"


async def test_equal_settings_again_do_nothing(arm: Arm) -> None:
    await arm.machine("pc1")
    await arm.join("pc1")
    await arm.join("pc1")
    assert (arm.cloud.ledger.entries[-1].effect, arm.cloud.ledger.entries[-1].operation) == ("none", None)
    await arm.join("pc1", INTUNE)
    assert arm.cloud.ledger.entries[-1].effect == "updated"


async def test_a_join_needs_an_identity(arm: Arm) -> None:
    await arm.machine("pc1", identity=None)
    operations = arm.clients.compute.virtual_machine_extensions
    error = await refusal(operations.begin_create_or_update(GROUP, "pc1", "join", entra_join_body()))
    assert (error.status_code, error.error.code) == (200, "VMExtensionHandlerNonTransientError")
    assert "1007" in error.message and "-2145648574" in error.message
    extension = await operations.get(GROUP, "pc1", "join", expand="instanceView")
    assert extension.properties.provisioning_state == "Failed"
    assert "-2145648574" in extension.properties.instance_view.statuses[0].message


async def test_a_join_needs_outbound_access(arm: Arm) -> None:
    await arm.machine("pc1")
    subnet = arm.cloud.resources.get(network_id("virtualNetworks", "vnet/subnets/pcs"))
    assert subnet is not None
    del subnet.properties["natGateway"]
    operations = arm.clients.compute.virtual_machine_extensions
    error = await refusal(operations.begin_create_or_update(GROUP, "pc1", "join", entra_join_body()))
    assert "DSREG_AUTOJOIN_DISC_FAILED" in error.message


async def test_a_join_under_a_taken_host_name_succeeds_without_joining(arm: Arm) -> None:
    arm.cloud.directory.join_device(display_name="pc1", vm_id="/old", os_version="10.0")
    machine = await arm.machine("pc1")
    extension = await arm.join("pc1")
    assert extension.properties.provisioning_state == "Succeeded"
    assert not arm.cloud.guests[machine.id.lower()].entra_joined


@pytest.mark.parametrize(
    ("expected", "properties"),
    [
        ((404, "ArtifactNotFound"), {"publisher": "Contoso"}),
        ((404, "ArtifactVersionNotFound"), {"typeHandlerVersion": "9.9"}),
        ((400, "BadRequest"), {}),
    ],
)
async def test_extensions_that_are_refused(arm: Arm, expected: tuple[int, str], properties: dict[str, Any]) -> None:
    await arm.machine("pc1")
    await arm.join("pc1")
    body = entra_join_body()
    body["properties"] |= properties
    operations = arm.clients.compute.virtual_machine_extensions
    assert await code_of(operations.begin_create_or_update(GROUP, "pc1", "other", body)) == expected


async def test_nothing_is_done_in_a_machine_that_does_not_run(arm: Arm) -> None:
    await arm.machine("pc1")
    await (await arm.clients.compute.virtual_machines.begin_power_off(GROUP, "pc1")).result()
    extensions, commands = (
        arm.clients.compute.virtual_machine_extensions,
        arm.clients.compute.virtual_machine_run_commands,
    )
    body = entra_join_body()
    assert await code_of(extensions.begin_create_or_update(GROUP, "pc1", "x", body)) == (409, "OperationNotAllowed")
    command = run_command_body("exit 0")
    assert await code_of(commands.begin_create_or_update(GROUP, "pc1", "x", command)) == (409, "OperationNotAllowed")


async def test_children_need_their_machine(arm: Arm) -> None:
    extensions = arm.clients.compute.virtual_machine_extensions
    request = extensions.begin_create_or_update(GROUP, "none", "join", entra_join_body())
    assert await code_of(request) == (404, "ParentResourceNotFound")
    assert await code_of(extensions.list(GROUP, "none")) == (404, "ResourceNotFound")


# Run commands

HELLO = 'param([string]$Name, [string]$Secret)\nWrite-Output "$Name $Secret"'


async def test_a_managed_run_command_keeps_its_result_and_its_secrets(arm: Arm) -> None:
    await arm.machine("pc1")
    parameters = [{"name": "Name", "value": "hello"}]
    protected = [{"name": "Secret", "value": "hidden-horse"}]
    view = await arm.run("pc1", "hello", HELLO, parameters=parameters, protectedParameters=protected)

    assert (view.execution_state, view.exit_code, view.output, view.error) == ("Succeeded", 0, "hello hidden-horse", "")
    assert view.start_time and view.end_time
    operations = arm.clients.compute.virtual_machine_run_commands
    command = await operations.get_by_virtual_machine(GROUP, "pc1", "hello")
    assert "hidden-horse" not in str(command.as_dict()) and command.properties.instance_view is None
    assert command.properties.source.script == HELLO
    assert [item.name async for item in operations.list_by_virtual_machine(GROUP, "pc1")] == ["hello"]


async def test_provisioning_succeeds_when_the_script_fails_unless_told_otherwise(arm: Arm) -> None:
    await arm.machine("pc1")
    view = await arm.run("pc1", "quiet", "exit 3")
    assert (view.execution_state, view.exit_code) == ("Failed", 3)

    operations = arm.clients.compute.virtual_machine_run_commands
    body = run_command_body("exit 3", treatFailureAsDeploymentFailure=True)
    error = await refusal(operations.begin_create_or_update(GROUP, "pc1", "loud", body))
    assert error.error.code == "VMExtensionProvisioningError"
    command = await operations.get_by_virtual_machine(GROUP, "pc1", "loud", expand="instanceView")
    assert command.properties.provisioning_state == "Failed" and command.properties.instance_view.exit_code == 3


async def test_the_same_run_command_again_does_not_execute(arm: Arm) -> None:
    await arm.machine("pc1")
    first = await arm.run("pc1", "hello", HELLO)
    again = await arm.run("pc1", "hello", HELLO)
    assert first.end_time == again.end_time and arm.cloud.ledger.entries[-1].effect == "none"
    changed = await arm.run("pc1", "hello", HELLO, parameters=[{"name": "Name", "value": "x"}])
    assert changed.output.startswith("x")


async def test_only_the_end_of_the_output_is_kept(arm: Arm) -> None:
    await arm.machine("pc1")
    view = await arm.run("pc1", "long", f"Write-Output '{'a' * 5000}z'")
    assert len(view.output) == 4096 and view.output.endswith("az")


async def test_a_machine_has_25_run_commands_at_most(arm: Arm) -> None:
    await arm.machine("pc1")
    for number in range(25):
        await arm.run("pc1", f"c{number}", "exit 0")
    operations = arm.clients.compute.virtual_machine_run_commands
    error = await refusal(operations.begin_create_or_update(GROUP, "pc1", "c25", run_command_body("exit 0")))
    assert "(max=25, current=25)" in error.message
    await (await operations.begin_delete(GROUP, "pc1", "c0")).result()
    await arm.run("pc1", "c25", "exit 0")


async def test_the_action_answers_with_both_streams(arm: Arm) -> None:
    await arm.machine("pc1")
    operations = arm.clients.compute.virtual_machines
    body = {"commandId": "RunPowerShellScript", "script": ["Write-Output 'one'", "Write-Output 'two'"]}
    result = await (await operations.begin_run_command(GROUP, "pc1", body)).result()
    assert [status.code for status in result.value] == [
        "ComponentStatus/StdOut/succeeded",
        "ComponentStatus/StdErr/succeeded",
    ]
    assert result.value[0].message == "one\ntwo"
