"""Every road to a Cloud PC with every outcome: networks, joins, account types, capacity, images, languages."""

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from contract import steps
from contract.activity import AnyStep
from models.azure_network_connection import AzureNetworkConnection
from models.cloud_pc import CloudPc, CloudPcStatus, StepState
from models.provisioning_policy import ProvisioningPolicy
from models.remote_actions import Accepted, Deprovision
from simulator.active_directory import JOIN_PASSWORD, JOIN_USER
from tests.workflows.conftest import (
    BRANCH,
    HEADQUARTERS,
    JOIN_PASSWORD_VARIABLE,
    Lab,
    connection,
    entra_connection,
    joining,
    policy,
    step,
)

pytestmark = pytest.mark.usefixtures("join_password")
HOSTED, CONNECTED, HYBRID = "microsoftHosted", "connection", "hybrid"


@pytest.fixture(params=[1000], ids=["cached"])
def max_cached_workflows(request: pytest.FixtureRequest) -> int:
    """Recorded histories replay these roads in test_replay."""
    return request.param


def road(name: str, account: str) -> tuple[ProvisioningPolicy, list[AzureNetworkConnection], str]:
    """The policy, the connections and the user of a road."""
    if name == HOSTED:
        return policy(userAccountType=account), [], "ada@contoso.com"
    if name == CONNECTED:
        return (
            joining("azureADJoin", entra_connection(), userAccountType=account),
            [entra_connection()],
            "ada@contoso.com",
        )
    return joining("hybridAzureADJoin", connection(), userAccountType=account), [connection()], "grace@contoso.com"


@pytest.mark.parametrize("outcome", ["provisioned", "provisionedWithWarnings", "failed"])
@pytest.mark.parametrize("account", ["standardUser", "administrator"])
@pytest.mark.parametrize("network", [HOSTED, CONNECTED, HYBRID])
async def test_road_and_outcome(lab: Lab, network: str, account: str, outcome: str) -> None:
    made, connections, user = road(network, account)
    if outcome == "provisionedWithWarnings":
        lab.cloud.defects["recovery-environment"] = 1
    if outcome == "failed":
        lab.fail("POST", r"/managedDevices/[^/]+/users/\$ref$", code="Forbidden", status=403)

    handle = await lab.start(made, user, connections)
    pc = await lab.settled(handle)

    assert pc.status == outcome, pc.status_detail or pc.warnings
    if outcome == "failed":
        assert pc.status_detail is not None and pc.status_detail.leftovers == ()
        lab.nothing_left()
        return
    assert [warning.step for warning in pc.warnings] == (
        [steps.DISABLE_WINDOWS_RESET.name] if outcome == "provisionedWithWarnings" else []
    )
    [machine_id] = lab.exists("Microsoft.Compute/virtualMachines")
    guest = lab.cloud.guests[machine_id.lower()]
    administrators = next(group.members for group in guest.groups if group.sid.endswith("-544"))
    assert (len(administrators) > 1) == (account == "administrator")
    assert (pc.network_id or "").startswith(HEADQUARTERS) == (network != HOSTED)
    assert (guest.domain is not None) == (network == HYBRID) and guest.mdm_enrolled
    assert pc.primary_user == user
    await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
    await lab.ended(handle)
    lab.nothing_left()


async def test_nothing_is_made_without_the_policys_connection(lab: Lab) -> None:
    handle = await lab.start(joining("hybridAzureADJoin", connection()), "grace@contoso.com")
    with pytest.raises(WorkflowFailureError) as failed:
        await lab.ended(handle)
    assert "no Azure network connection headquarters was given" in str(failed.value.cause)
    lab.nothing_left()


async def test_hybrid_join_with_the_password_in_key_vault(lab: Lab) -> None:
    place = connection(adDomainPassword={"keyVaultSecretId": f"{lab.cloud.key_vault_url}/secrets/domain-join"})
    handle = await lab.start(joining("hybridAzureADJoin", place), "grace@contoso.com", [place])

    pc = await lab.settled(handle)

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    shown = {status.step for status in pc.steps}
    assert {steps.JOIN_DOMAIN.name, steps.WAIT_FOR_ENTRA_DEVICE.name} <= shown and steps.JOIN_ENTRA_ID.name not in shown
    [device] = lab.cloud.directory.devices.values()
    assert (device["trustType"], device["deviceId"]) == ("ServerAd", pc.entra_device_id)
    [computer] = lab.cloud.active_directory.computers.values()
    assert "OU=Cloud PCs" in computer.distinguished_name
    await no_trace_of(JOIN_PASSWORD, lab, handle.id)


async def test_wrong_join_password(lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    wrong = "wrong-password-Zq7!mJ3x"
    monkeypatch.setenv(JOIN_PASSWORD_VARIABLE, wrong)
    handle = await lab.start(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])

    pc = await lab.settled(handle)

    assert pc.status == CloudPcStatus.FAILED and pc.status_detail is not None
    assert (pc.status_detail.step, pc.status_detail.code) == (steps.JOIN_DOMAIN.name, "adJoinCheckIncorrectCredentials")
    assert "adDomainPassword" in pc.status_detail.remedy and pc.status_detail.leftovers == ()
    lab.nothing_left()
    assert len(lab.requests("PUT", "/extensions/JsonADDomainExtension")) == 1, "tried again: a lockout"
    # The extension itself tries twice; nobody else signs in with it.
    assert lab.cloud.active_directory.accounts[JOIN_USER].bad_passwords == 2
    await no_trace_of(wrong, lab, handle.id)
    assert wrong not in caplog.text


async def no_trace_of(secret: str, lab: Lab, workflow_id: str) -> None:
    """Assert that a secret stands in no history and nothing that the cloud shows."""
    history = await lab.client.get_workflow_handle(workflow_id).fetch_history()
    written = b"".join(event.SerializeToString() for event in history.events)
    assert secret.encode() not in written and workflow_id.encode() in written
    assert secret not in str(lab.cloud.ledger.as_json())


DOMAIN_TROUBLES: dict[str, Any] = {
    "adJoinCheckAccountLockedOrDisabled": lambda ad: setattr(ad.accounts[JOIN_USER], "enabled", False),
    "adJoinCheckCredentialsExpired": lambda ad: setattr(ad.accounts[JOIN_USER], "password_expired", True),
    "adJoinCheckServerNotOperational": lambda ad: setattr(ad, "reachable", False),
}


@pytest.mark.parametrize("code", DOMAIN_TROUBLES)
async def test_domain_trouble(lab: Lab, code: str) -> None:
    DOMAIN_TROUBLES[code](lab.cloud.active_directory)
    pc = await lab.provisioned(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    failed_with(pc, steps.JOIN_DOMAIN, code)
    lab.nothing_left()


@pytest.mark.parametrize(
    ("changes", "step_name", "code"),
    [
        (
            {"organizationalUnit": "OU=Nowhere,DC=corp,DC=contoso,DC=com"},
            steps.JOIN_DOMAIN,
            "adJoinCheckOrganizationalUnitNotFound",
        ),
        ({"organizationalUnit": "OU=Servers,DC=corp,DC=contoso,DC=com"}, steps.JOIN_DOMAIN, "adJoinCheckAccessDenied"),
        ({"adDomainName": "corp.fabrikam.com"}, steps.JOIN_DOMAIN, "adJoinCheckFqdnNotFound"),
        ({"adDomainPassword": {"environmentVariable": "CLOUD_PC_NOT_SET"}}, steps.JOIN_DOMAIN, "SecretNotSet"),
    ],
)
async def test_wrong_domain_in_the_connection(lab: Lab, changes: dict[str, Any], step_name: AnyStep, code: str) -> None:
    place = connection(**changes)
    pc = await lab.provisioned(joining("hybridAzureADJoin", place), "grace@contoso.com", [place])
    failed_with(pc, step_name, code)
    lab.nothing_left()


async def test_a_domain_that_cannot_be_found_for_a_while(lab: Lab) -> None:
    lab.cloud.active_directory.reachable = False
    handle = await lab.start(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    await lab.until(handle, lambda pc: step(pc, steps.JOIN_DOMAIN).state == StepState.RUNNING)
    while not lab.requests("PUT", "/extensions/JsonADDomainExtension"):
        await lab.until(handle, lambda pc: True)
    lab.cloud.active_directory.reachable = True

    assert (await lab.settled(handle)).status == CloudPcStatus.PROVISIONED


@pytest.mark.parametrize(
    ("place", "code"),
    [
        (entra_connection("gone", "snet-gone"), "SubnetNotFound"),
        (
            entra_connection(
                "other",
                subnetId=f"{BRANCH}/providers/Microsoft.Network/virtualNetworks/vnet-branch/subnets/snet-cloud-pcs",
            ),
            "SubnetInAnotherSubscription",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_first_connection_that_works_is_used(lab: Lab, place: AzureNetworkConnection, code: str) -> None:
    alone = await lab.provisioned(joining("azureADJoin", place), connections=[place])
    failed_with(alone, steps.ATTACH_NETWORK, code)
    lab.nothing_left()

    second = entra_connection()
    pc = await lab.provisioned(joining("azureADJoin", place, second), connections=[place, second])

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert pc.on_premises_connection_name == "Headquarters"


async def test_a_full_subnet_means_the_next_connection(lab: Lab) -> None:
    small, large = entra_connection("small", "snet-small"), entra_connection("large")
    made = joining("azureADJoin", small, large)
    handles = [await lab.start(made, connections=[small, large]) for _ in range(4)]
    networks = [(await lab.settled(handle)).on_premises_connection_name for handle in handles]
    assert sorted(str(name) for name in networks) == ["Large", "Small", "Small", "Small"]

    pc = await lab.provisioned(joining("azureADJoin", small), connections=[small])
    failed_with(pc, steps.ATTACH_NETWORK, "SubnetIsFull")
    assert len(lab.exists("Microsoft.Network/networkInterfaces")) == 4


async def test_a_network_in_another_subscription(lab: Lab) -> None:
    network = f"{BRANCH}/providers/Microsoft.Network/virtualNetworks/vnet-branch"
    place = entra_connection("branch", resourceGroupId=BRANCH, subnetId=f"{network}/subnets/snet-cloud-pcs")
    handle = await lab.start(joining("azureADJoin", place), connections=[place])

    pc = await lab.settled(handle)

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert pc.region == "northeurope" and (pc.virtual_machine_id or "").startswith(BRANCH)
    await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
    await lab.ended(handle)
    lab.nothing_left()


async def test_a_hosted_network_that_was_deleted_is_made_anew(lab: Lab) -> None:
    await lab.provisioned()
    # One that has found it, so that the worker remembers it.
    await lab.provisioned()
    [network] = [id for id in lab.exists("Microsoft.Network/virtualNetworks") if "vnet-cloud-pc" in id]
    lab.cloud.resources.remove(network)

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert pc.network_id == f"{network}/subnets/cloud-pcs"


async def test_a_full_hosted_network_means_another_one(lab: Lab) -> None:
    await lab.provisioned()
    lab.fail("PUT", r"networkInterfaces/[^/]+$", code="SubnetIsFull")

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert "/vnet-cloud-pc-westeurope-2/" in (pc.network_id or "")


CAPACITY_CODES = [
    "SkuNotAvailable",
    "AllocationFailed",
    "ZonalAllocationFailed",
    "OverconstrainedAllocationRequest",
    "OperationNotAllowed",
]


@pytest.mark.parametrize("code", CAPACITY_CODES)
@pytest.mark.parametrize("reserved", [False, True], ids=["", "reserved"])
async def test_the_first_size_is_refused_and_the_second_is_made(lab: Lab, code: str, reserved: bool) -> None:
    first, second = lab.service_plan.vm_sizes[:2]
    lab.cloud.resources.capacity.refuse("westeurope", first, code)

    handle = await lab.start(policy(capacityReservation=reserved))
    pc = await lab.settled(handle)

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert (pc.vm_size, pc.attempt) == (second, 1)
    for kind in ("Microsoft.Compute/virtualMachines", "Microsoft.Compute/disks", "Microsoft.Network/networkInterfaces"):
        assert len(lab.exists(kind)) == 1
    assert len(lab.exists("Microsoft.Compute/capacityReservationGroups/capacityReservations")) == int(reserved)
    await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
    await lab.ended(handle)
    lab.nothing_left()


async def test_another_zone_comes_before_another_size(lab: Lab) -> None:
    first = lab.service_plan.vm_sizes[0]
    lab.cloud.resources.capacity.refuse("westeurope", first, "ZonalAllocationFailed", zone="1")
    pc = await lab.provisioned()
    assert pc.status == CloudPcStatus.PROVISIONED and pc.vm_size == first
    assert "zone 2" in step(pc, steps.ALLOCATE_CAPACITY).detail
    assert "zone 1: ZonalAllocationFailed" in step(pc, steps.ALLOCATE_CAPACITY).detail


@pytest.mark.parametrize("reserved", [False, True], ids=["", "reserved"])
async def test_every_size_is_refused(lab: Lab, reserved: bool) -> None:
    for size in lab.service_plan.vm_sizes:
        lab.cloud.resources.capacity.refuse("westeurope", size, "AllocationFailed")

    pc = await lab.provisioned(policy(capacityReservation=reserved))

    detail = failed_with(pc, steps.ALLOCATE_CAPACITY, "NoCapacity")
    for size in lab.service_plan.vm_sizes:
        assert f"{size}, zone 1, 2, 3: AllocationFailed" in detail.message
    lab.nothing_left()


async def test_the_next_region_has_quota(lab: Lab) -> None:
    """Where quota is known to be used up, the network interface is made already; it may not stay."""
    lab.cloud.resources.capacity.limits["westeurope", "cores"] = 1
    places = [{"regionName": "westeurope"}, {"regionName": "northeurope"}]

    pc = await lab.provisioned(policy(domainJoinConfigurations=places))

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    [interface] = lab.exists("Microsoft.Network/networkInterfaces")
    assert lab.resource(interface).body["location"] == pc.region == "northeurope"


async def test_a_machine_is_refused_in_spite_of_its_reservation(lab: Lab) -> None:
    lab.fail("PUT", r"virtualMachines/[^/]+$", code="AllocationFailed", when="operation")

    handle = await lab.start(policy(capacityReservation=True))
    pc = await lab.settled(handle)

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    [reservation] = lab.exists("Microsoft.Compute/capacityReservationGroups/capacityReservations")
    machine = lab.resource(pc.virtual_machine_id or "").body
    assert lab.resource(reservation).body["zones"] == machine["zones"] == ["2"]
    await handle.execute_update("deprovision", Deprovision(), result_type=Accepted)
    await lab.ended(handle)
    lab.nothing_left()


async def test_the_next_region_has_capacity(lab: Lab) -> None:
    for size in lab.service_plan.vm_sizes:
        lab.cloud.resources.capacity.refuse("westeurope", size, "AllocationFailed")
    places = [{"regionName": "westeurope"}, {"regionName": "northeurope"}]

    pc = await lab.provisioned(policy(domainJoinConfigurations=places))

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert pc.region == "northeurope" and pc.attempt == 1
    for kind in ("Microsoft.Compute/virtualMachines", "Microsoft.Compute/disks", "Microsoft.Network/networkInterfaces"):
        assert len(lab.exists(kind)) == 1


@pytest.mark.parametrize(
    ("image_id", "code"),
    [
        ("microsoftwindowsdesktop_windows-11_win11-24h2-avd", "sourceImageInvalid"),
        ("microsoftwindowsdesktop_windows-11_win11-99h9-ent", "sourceImageNotFound"),
    ],
)
async def test_an_image_that_cannot_work_is_refused_before_a_machine_is_made(
    lab: Lab, image_id: str, code: str
) -> None:
    pc = await lab.provisioned(policy(imageId=image_id))
    failed_with(pc, steps.CREATE_VIRTUAL_MACHINE, code)
    assert not lab.requests("PUT", f"/virtualMachines/{pc.computer_name}")
    lab.nothing_left()


IMAGES = "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg-cloud-pcs/providers/Microsoft.Compute"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"hyperVGeneration": "V1"}, "sourceImageInvalid"),
        ({"osState": "Specialized"}, "sourceImageNotGeneralized"),
        ({"location": "northeurope"}, "sourceImageInvalid"),
        ({"diskSizeGB": 512}, "sourceImageSizeExceedsLimitation"),
    ],
    ids=["right", "generation 1", "specialized", "wrong region", "too large"],
)
async def test_managed_image(lab: Lab, changes: dict[str, Any], code: str | None) -> None:
    fields = {"hyperVGeneration": "V2", "osState": "Generalized", "location": "westeurope", "diskSizeGB": 64} | changes
    body = {
        "location": fields["location"],
        "properties": {
            "hyperVGeneration": fields["hyperVGeneration"],
            "storageProfile": {
                "osDisk": {
                    "osType": "Windows",
                    "osState": fields["osState"],
                    "diskSizeGB": fields["diskSizeGB"],
                    "blobUri": "https://contoso.blob.core.windows.net/vhds/golden.vhd",
                }
            },
        },
    }
    compute: Any = lab.clients.resource_groups.get().compute
    await (await compute.images.begin_create_or_update("rg-cloud-pcs", "golden", body)).result()

    pc = await lab.provisioned(policy(imageType="custom", imageId=f"{IMAGES}/images/golden"))

    if code is None:
        assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    else:
        failed_with(pc, steps.CREATE_VIRTUAL_MACHINE, code)
        lab.nothing_left()


@pytest.mark.parametrize(
    ("changes", "regions", "security", "code"),
    [
        (
            {"features": [{"name": "SecurityType", "value": "TrustedLaunchSupported"}]},
            ["West Europe"],
            "TrustedLaunch",
            None,
        ),
        ({}, ["West Europe"], "Standard", None),
        ({"osState": "Specialized"}, ["West Europe"], "", "sourceImageNotGeneralized"),
        ({"hyperVGeneration": "V1"}, ["West Europe"], "", "sourceImageInvalid"),
        (
            {"identifier": {"publisher": "contoso", "offer": "windows-11", "sku": "win11-24h2-avd"}},
            ["West Europe"],
            "",
            "sourceImageInvalid",
        ),
        ({}, ["North Europe"], "", "sourceImageInvalid"),
    ],
    ids=["trusted launch", "standard", "specialized", "generation 1", "multi-session", "wrong region"],
)
async def test_compute_gallery_image(
    lab: Lab, changes: dict[str, Any], regions: list[str], security: str, code: str | None
) -> None:
    compute: Any = lab.clients.resource_groups.get().compute
    place = {"location": regions[0].replace(" ", "").lower()}
    definition = {
        "osType": "Windows",
        "osState": "Generalized",
        "hyperVGeneration": "V2",
        "identifier": {"publisher": "contoso", "offer": "windows", "sku": "golden"},
        **changes,
    }
    version = {
        "publishingProfile": {"targetRegions": [{"name": region} for region in regions]},
        "storageProfile": {"osDiskImage": {"sizeInGB": 64}},
    }
    ids = ("rg-cloud-pcs", "gallery", "golden", "1.0.0")
    await (await compute.galleries.begin_create_or_update(*ids[:2], place)).result()
    await (await compute.gallery_images.begin_create_or_update(*ids[:3], {**place, "properties": definition})).result()
    await (await compute.gallery_image_versions.begin_create_or_update(*ids, {**place, "properties": version})).result()

    pc = await lab.provisioned(policy(imageType="custom", imageId=f"{IMAGES}/galleries/gallery/images/golden"))

    if code:
        failed_with(pc, steps.CREATE_VIRTUAL_MACHINE, code)
        lab.nothing_left()
        return
    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    machine = lab.resource(pc.virtual_machine_id or "")
    assert machine.body["properties"]["securityProfile"]["securityType"] == security


async def test_another_language(lab: Lab) -> None:
    pc = await lab.provisioned(policy(windowsSetting={"locale": "de-DE"}))
    assert pc.status == CloudPcStatus.PROVISIONED, pc.warnings
    [guest] = lab.cloud.guests.values()
    assert guest.locale == "de-DE"


async def test_a_language_that_cannot_be_installed_is_a_warning(lab: Lab) -> None:
    lab.cloud.defects["language-pack"] = 1
    pc = await lab.provisioned(policy(windowsSetting={"locale": "de-DE"}))
    assert pc.status == CloudPcStatus.PROVISIONED_WITH_WARNINGS
    assert [warning.step for warning in pc.warnings] == [steps.INSTALL_LANGUAGE.name]


def failed_with(pc: CloudPc, step_name: AnyStep, code: str) -> Any:
    """Assert that it failed so, with a remedy and nothing left over, and return the status detail."""
    assert pc.status == CloudPcStatus.FAILED, pc.status
    detail = pc.status_detail
    assert detail is not None
    assert (detail.step, detail.code, detail.leftovers) == (step_name.name, code, ()), detail
    assert detail.remedy
    return detail


@pytest.mark.parametrize("how", ["answer", "canceled"])
async def test_a_join_that_azure_gave_up_before_it_began_is_tried_again(lab: Lab, how: str) -> None:
    lab.fail(
        "PUT", r"extensions/JsonADDomainExtension$", "VMExtensionManagementInternalError", when="operation", how=how
    )
    made = joining("hybridAzureADJoin", connection())
    pc = await lab.provisioned(made, "grace@contoso.com", [connection()])
    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
