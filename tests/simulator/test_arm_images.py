"""Images of one's own in the simulated Resource Manager, and machines made from them, by the real SDK clients."""

from typing import Any

import pytest

from cloud.clients import CloudClients
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.server import SimulatorServer

from .arm import GROUP_ID, Arm, code_of, machine_body, refusal

COMPUTE = f"{GROUP_ID}/providers/Microsoft.Compute"
MANAGED_ID = f"{COMPUTE}/images/golden"
DEFINITION_ID = f"{COMPUTE}/galleries/gallery/images/golden"
TRUSTED_LAUNCH = [{"name": "SecurityType", "value": "TrustedLaunchSupported"}]
STANDARD = {"securityType": "Standard"}


@pytest.fixture
def arm(simulator: SimulatorServer, clients: CloudClients) -> Arm:
    """A simulated Resource Manager with clients for it."""
    return Arm(simulator.cloud, clients)


async def managed_image(arm: Arm, *, location: str = "westeurope", generation: str = "V2", **disk: Any) -> Any:
    """Make the managed image `golden`."""
    os_disk = {"osType": "Windows", "osState": "Generalized", "diskSizeGB": 64, **disk}
    properties = {"hyperVGeneration": generation, "storageProfile": {"osDisk": os_disk}}
    body = {"location": location, "properties": properties}
    return await (await arm.clients.compute.images.begin_create_or_update(GROUP, "golden", body)).result()


async def definition(arm: Arm, **changes: Any) -> Any:
    """Make the image definition `golden` of the gallery `gallery`."""
    compute, place = arm.clients.compute, {"location": "westeurope"}
    await (await compute.galleries.begin_create_or_update(GROUP, "gallery", place)).result()
    properties = {
        "osType": "Windows",
        "osState": "Generalized",
        "hyperVGeneration": "V2",
        "identifier": {"publisher": "contoso", "offer": "windows", "sku": "golden"},
        "features": TRUSTED_LAUNCH,
        **changes,
    }
    request = compute.gallery_images.begin_create_or_update(
        GROUP, "gallery", "golden", {**place, "properties": properties}
    )
    return await (await request).result()


async def version(arm: Arm, number: str, *regions: str, exclude: bool = False, **storage: Any) -> Any:
    """Make a version of it, of 64 GB unless it has a source."""
    profile = {"targetRegions": [{"name": name} for name in regions or ["West Europe"]], "excludeFromLatest": exclude}
    properties = {"publishingProfile": profile, "storageProfile": storage or {"osDiskImage": {"sizeInGB": 64}}}
    body = {"location": "westeurope", "properties": properties}
    versions = arm.clients.compute.gallery_image_versions
    return await (await versions.begin_create_or_update(GROUP, "gallery", "golden", number, body)).result()


async def put(arm: Arm, image_id: str, disk: dict[str, Any] | None = None, **changes: Any) -> Any:
    """PUT the machine `pc1`, its interface too, from an image."""
    await arm.interface("pc1-nic")
    body = machine_body("pc1", **changes)
    body["properties"]["storageProfile"]["imageReference"] = {"id": image_id}
    body["properties"]["storageProfile"]["osDisk"] |= disk or {}
    return await arm.clients.compute.virtual_machines.begin_create_or_update(GROUP, "pc1", body)


async def test_images_are_kept_and_listed(arm: Arm) -> None:
    compute = arm.clients.compute
    image = await managed_image(arm)
    await definition(arm)
    await version(arm, "1.0.0")

    assert (image.id, image.properties.provisioning_state) == (MANAGED_ID, "Succeeded")
    assert image.properties.storage_profile.os_disk.disk_size_gb == 64
    assert [found.name async for found in compute.images.list_by_resource_group(GROUP)] == ["golden"]
    assert [found.name async for found in compute.images.list()] == ["golden"]
    gallery = await compute.galleries.get(GROUP, "gallery")
    assert gallery.properties.identifier.unique_name.endswith("-GALLERY")
    assert [found.name async for found in compute.galleries.list_by_resource_group(GROUP)] == ["gallery"]
    described = await compute.gallery_images.get(GROUP, "gallery", "golden")
    assert (described.id, described.properties.os_state) == (DEFINITION_ID, "Generalized")
    assert [found.name async for found in compute.gallery_images.list_by_gallery(GROUP, "gallery")] == ["golden"]
    made = await compute.gallery_image_versions.get(GROUP, "gallery", "golden", "1.0.0")
    assert made.properties.storage_profile.os_disk_image.size_in_gb == 64
    listed = compute.gallery_image_versions.list_by_gallery_image(GROUP, "gallery", "golden")
    assert [found.name async for found in listed] == ["1.0.0"]

    assert await code_of(compute.galleries.begin_delete(GROUP, "gallery")) == (409, "CannotDeleteResource")
    assert await code_of(compute.gallery_images.begin_delete(GROUP, "gallery", "golden")) == (
        409,
        "CannotDeleteResource",
    )
    await (await compute.gallery_image_versions.begin_delete(GROUP, "gallery", "golden", "1.0.0")).result()
    await (await compute.gallery_images.begin_delete(GROUP, "gallery", "golden")).result()
    await (await compute.galleries.begin_delete(GROUP, "gallery")).result()
    await (await compute.images.begin_delete(GROUP, "golden")).result()
    assert arm.made() == []


async def test_a_machine_from_a_managed_image(arm: Arm) -> None:
    await managed_image(arm)
    machine = await (await put(arm, MANAGED_ID, securityProfile=STANDARD)).result()

    disk = await arm.clients.compute.disks.get(GROUP, "pc1-disk")
    assert (disk.properties.disk_size_gb, disk.properties.creation_data.image_reference.id) == (64, MANAGED_ID)
    assert arm.cloud.guests[machine.id.lower()].disk.size == 64 * 1024**3
    # The machine does not need its image any more.
    await (await arm.clients.compute.images.begin_delete(GROUP, "golden")).result()
    update = {"tags": {"a": "b"}}
    changed = await (await arm.clients.compute.virtual_machines.begin_update(GROUP, "pc1", update)).result()
    assert changed.properties.storage_profile.image_reference.id == MANAGED_ID
    other = put(arm, DEFINITION_ID, securityProfile=STANDARD)
    assert await code_of(other) == (409, "PropertyChangeNotAllowed")


async def test_a_machine_from_the_latest_or_a_certain_version(arm: Arm) -> None:
    await definition(arm)
    for number, regions, exclude in (
        ("1.9.0", ["West Europe"], False),
        ("1.10.0", ["West Europe", "North Europe"], False),
        ("2.0.0", ["West Europe"], True),
    ):
        await version(arm, number, *regions, exclude=exclude)
    machine = await (await put(arm, DEFINITION_ID)).result()
    assert machine.properties.storage_profile.image_reference.exact_version == "1.10.0"
    disk = await arm.clients.compute.disks.get(GROUP, "pc1-disk")
    assert disk.properties.creation_data.gallery_image_reference.id == f"{DEFINITION_ID}/versions/1.10.0"
    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "pc1")).result()
    machine = await (await put(arm, f"{DEFINITION_ID}/versions/2.0.0")).result()
    assert machine.properties.storage_profile.image_reference.exact_version == "2.0.0"


async def test_a_version_is_as_large_as_its_source(arm: Arm) -> None:
    await managed_image(arm, diskSizeGB=100)
    await definition(arm)
    first = await version(arm, "1.0.0", source={"id": MANAGED_ID})
    second = await version(arm, "1.0.1", source={"id": first.id})
    assert second.properties.storage_profile.os_disk_image.size_in_gb == 100
    assert await code_of(version(arm, "1.0.2", source={"id": f"{MANAGED_ID}x"})) == (400, "InvalidResourceReference")
    await (await arm.clients.compute.images.begin_delete(GROUP, "golden")).result()
    await managed_image(arm, generation="V1")
    assert await code_of(version(arm, "1.0.3", source={"id": MANAGED_ID})) == (400, "InvalidParameter")


@pytest.mark.parametrize(
    ("expected", "image", "machine"),
    [
        ((404, "ImageNotFound"), None, {}),
        ((404, "ImageNotFound"), {"location": "northeurope"}, {}),
        ((400, "BadRequest"), {}, {"securityProfile": {"securityType": "TrustedLaunch"}}),
        ((400, "BadRequest"), {}, {"hardwareProfile": {"vmSize": "Standard_A2_v2"}}),
        ((400, "BadRequest"), {"generation": "V1"}, {"hardwareProfile": {"vmSize": "Standard_D2als_v6"}}),
        ((400, "InvalidParameter"), {"osState": "Specialized"}, {}),
        ((409, "OperationNotAllowed"), {}, {"disk": {"diskSizeGB": 32}}),
    ],
)
async def test_managed_images_that_do_not_do(
    arm: Arm, expected: tuple[int, str], image: dict[str, Any] | None, machine: dict[str, Any]
) -> None:
    arm.cloud.resources.capacity.restrictions.clear()
    if image is not None:
        await managed_image(arm, **image)
    assert await code_of(put(arm, MANAGED_ID, **{"securityProfile": STANDARD, **machine})) == expected


@pytest.mark.parametrize(
    ("expected", "changes", "number", "security"),
    [
        ((404, "GalleryImageNotFound"), {}, "", "TrustedLaunch"),
        ((404, "GalleryImageNotFound"), {}, "/versions/3.0.0", "TrustedLaunch"),
        ((404, "GalleryImageNotFound"), {}, "x/versions/1.0.0", "TrustedLaunch"),
        ((400, "BadRequest"), {"features": []}, "/versions/1.0.0", "TrustedLaunch"),
        ((400, "BadRequest"), {"hyperVGeneration": "V1"}, "/versions/1.0.0", "TrustedLaunch"),
        (
            (400, "BadRequest"),
            {"features": [{"name": "SecurityType", "value": "TrustedLaunch"}]},
            "/versions/1.0.0",
            "Standard",
        ),
        ((400, "InvalidParameter"), {"osState": "Specialized"}, "/versions/1.0.0", "TrustedLaunch"),
    ],
)
async def test_gallery_images_that_do_not_do(
    arm: Arm, expected: tuple[int, str], changes: dict[str, Any], number: str, security: str
) -> None:
    features = [] if changes.get("hyperVGeneration") else TRUSTED_LAUNCH
    await definition(arm, **{"features": features, **changes})
    await version(arm, "1.0.0", exclude=True)
    error = await refusal(put(arm, DEFINITION_ID + number, securityProfile={"securityType": security}))
    assert (error.status_code, error.error.code) == expected


async def test_a_version_is_there_for_its_regions_only(arm: Arm) -> None:
    await definition(arm)
    await version(arm, "1.0.0", "West Europe", "North Europe")
    made = arm.cloud.resources.get(f"{DEFINITION_ID}/versions/1.0.0")
    assert made is not None
    made.properties["publishingProfile"]["targetRegions"] = [{"name": "North Europe"}]
    error = await refusal(put(arm, DEFINITION_ID))
    assert (error.status_code, error.error.code) == (404, "GalleryImageNotFound")
    assert "is not available in westeurope region. Please contact image owner to replicate" in error.message


async def test_a_specialized_image_takes_no_profile(arm: Arm) -> None:
    await managed_image(arm, osState="Specialized")
    error = await refusal(put(arm, MANAGED_ID, securityProfile=STANDARD))
    assert (error.error.target, error.error.message) == ("osProfile", "Parameter 'osProfile' is not allowed.")


async def test_images_that_are_refused(arm: Arm) -> None:
    compute = arm.clients.compute
    empty = {"location": "westeurope", "properties": {}}
    assert await code_of(compute.images.begin_create_or_update(GROUP, "i", empty)) == (400, "InvalidParameter")
    assert await code_of(managed_image(arm, generation="V3")) == (400, "InvalidParameter")
    assert await code_of(managed_image(arm, osState="Fresh")) == (400, "InvalidParameter")
    assert await code_of(definition(arm, identifier={"publisher": "p"})) == (400, "InvalidParameter")
    await definition(arm)
    assert await code_of(definition(arm, osState="Specialized")) == (409, "PropertyChangeNotAllowed")
    assert await code_of(version(arm, "latest")) == (400, "InvalidParameter")
    assert await code_of(version(arm, "1.0.0", "North Europe")) == (400, "InvalidParameter")
    assert await code_of(version(arm, "1.0.0", source={})) == (400, "InvalidParameter")


async def test_the_marketplace_has_images_of_every_kind(arm: Arm) -> None:
    images = arm.clients.compute.virtual_machine_images
    generations = {}
    for offer, sku in (
        ("windows-10", "win10-22h2-ent"),
        ("windows-11", "win11-24h2-avd"),
        ("windows-ent-cpc", "win11-24h2-ent-cpc"),
    ):
        image = await images.get("westeurope", "MicrosoftWindowsDesktop", offer, sku, "latest")
        generations[sku] = image.properties.hyper_v_generation
    assert generations == {"win10-22h2-ent": "V1", "win11-24h2-avd": "V2", "win11-24h2-ent-cpc": "V2"}
