"""Microsoft.Compute: the images that machines are made from, of the Marketplace and of one's own.

Sources: learn.microsoft.com/azure/virtual-machines/capture-image-resource and azure-compute-gallery
"""

import re
from dataclasses import dataclass
from typing import Any

from simulator.arm.call import Call
from simulator.arm.capacity import IMAGE_DISK_GB, IMAGE_VERSIONS
from simulator.arm.compute_resource_type import ComputeResourceType, property_change_not_allowed
from simulator.arm.errors import ArmError, invalid_parameter, invalid_reference
from simulator.arm.ids import parent_of, part_of
from simulator.arm.resource_type import object_in
from simulator.arm.store import Resource, ResourceStore

IMAGES = "Microsoft.Compute/images"
GALLERIES = "Microsoft.Compute/galleries"
GALLERY_IMAGES = "Microsoft.Compute/galleries/images"
GALLERY_IMAGE_VERSIONS = "Microsoft.Compute/galleries/images/versions"
IMAGE_NAMES = ("publisher", "offer", "sku")
"""What names an image of the Marketplace, beside its version."""

_ANY_SECURITY = ("Standard", "TrustedLaunch", "ConfidentialVM")
_SECURITY_TYPES = {
    "trustedlaunchsupported": ("Standard", "TrustedLaunch"),
    "trustedlaunch": ("TrustedLaunch",),
    "confidentialvmsupported": ("Standard", "ConfidentialVM"),
    "confidentialvm": ("ConfidentialVM",),
    "trustedlaunchandconfidentialvmsupported": _ANY_SECURITY,
}
"""The security types of the machines that an image definition is for, by its feature `SecurityType`."""
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class SourceImage:
    """An image that a machine is made from.

    Attributes:
        id: ARM id of the image, of a gallery image that of its version.
        generation: The Hyper-V generation it boots on, `V1` or `V2`.
        size_gb: Size of its OS disk, GiB.
        security_types: The security types that a machine made from it can have.

    """

    id: str
    generation: str
    size_gb: int
    security_types: tuple[str, ...]


class Images(ComputeResourceType):
    """Managed images: of one region, and not for Trusted Launch."""

    type = IMAGES
    create_seconds = 60
    update_seconds = 5
    delete_seconds = 10

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check the OS disk."""
        properties = resource.properties
        _check_generation(properties)
        disk = object_in(object_in(properties, "storageProfile"), "osDisk")
        if not disk:
            raise invalid_parameter("storageProfile", "Required parameter 'storageProfile' is missing (null).")
        _check_system(disk, "osDisk.")
        disk.setdefault("diskSizeGB", IMAGE_DISK_GB)
        disk.setdefault("caching", "ReadWrite")
        properties["storageProfile"].setdefault("dataDisks", [])
        if existing and existing.properties["hyperVGeneration"] != properties["hyperVGeneration"]:
            raise property_change_not_allowed("hyperVGeneration")
        return True


class Galleries(ComputeResourceType):
    """Azure Compute Galleries."""

    type = GALLERIES
    create_seconds = 10
    update_seconds = 5
    delete_seconds = 10

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Name the gallery uniquely."""
        subscription = part_of(resource.id, "subscriptions")
        resource.properties["identifier"] = {"uniqueName": f"{subscription}-{resource.name.upper()}"}
        return True

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while there are image definitions in it."""
        self.refuse_nested(resource)


class GalleryImages(ComputeResourceType):
    """Image definitions of a gallery: what all versions of an image have in common."""

    type = GALLERY_IMAGES
    create_seconds = 5
    update_seconds = 5
    delete_seconds = 5

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check what the definition says of its versions, which cannot be changed."""
        properties = resource.properties
        _check_system(properties, "")
        _check_generation(properties)
        identifier = object_in(properties, "identifier")
        for name in IMAGE_NAMES:
            if not identifier.get(name):
                raise invalid_parameter(
                    f"identifier.{name}", f"Required parameter 'identifier.{name}' is missing (null)."
                )
        properties.setdefault("architecture", "x64")
        for name in ("osType", "osState", "hyperVGeneration", "identifier", "features"):
            if existing and existing.properties.get(name) != properties.get(name):
                raise property_change_not_allowed(f"galleryImage.properties.{name}")
        return True

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while there are versions of it."""
        self.refuse_nested(resource)


class GalleryImageVersions(ComputeResourceType):
    """Versions of an image in a gallery; each is there for machines of its target regions only."""

    type = GALLERY_IMAGE_VERSIONS
    create_seconds = 600
    update_seconds = 300
    delete_seconds = 60

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check number, source and regions."""
        if not _VERSION.fullmatch(resource.name):
            raise invalid_parameter(
                "galleryImageVersion.name",
                f"The value '{resource.name}' of parameter 'galleryImageVersion.name' is invalid: three numbers "
                "with dots between them are expected.",
            )
        properties = resource.properties
        storage = object_in(properties, "storageProfile")
        disk = object_in(storage, "osDiskImage")
        source_id = str(object_in(storage, "source").get("id") or "")
        if not disk and not source_id:
            raise invalid_parameter("storageProfile", "Required parameter 'storageProfile' is missing (null).")
        if source_id:
            disk["sizeInGB"] = self._source_size(resource, source_id)
        storage["osDiskImage"] = disk
        disk.setdefault("sizeInGB", IMAGE_DISK_GB)
        properties["storageProfile"] = storage
        profile = object_in(properties, "publishingProfile")
        profile.setdefault("targetRegions", [{"name": resource.location, "regionalReplicaCount": 1}])
        profile.setdefault("excludeFromLatest", False)
        if resource.location not in [_region(target) for target in profile["targetRegions"]]:
            raise invalid_parameter(
                "galleryImageVersion.properties.publishingProfile.targetRegions",
                f"The publishing profile must include the region '{resource.location}' of the gallery image version.",
            )
        properties["publishingProfile"] = profile
        return True

    def _source_size(self, resource: Resource, source_id: str) -> int:
        """Return the size of the image that a version is made of: a managed image or another version."""
        source = self.store.get(source_id)
        if source is None or source.type not in (IMAGES, GALLERY_IMAGE_VERSIONS):
            raise invalid_reference(source_id, resource.id)
        of_managed = source.type == IMAGES
        described, definition = source, self.store.get(parent_of(resource.id))
        if not of_managed:
            described = self.store.get(parent_of(source.id)) or source
        generation = described.properties["hyperVGeneration"]
        if definition and definition.properties["hyperVGeneration"] != generation:
            raise invalid_parameter(
                "galleryImageVersion.properties.storageProfile.source.id",
                f"The source's hypervisor generation '{generation}' is not the one of gallery image "
                f"'{definition.name}', '{definition.properties['hyperVGeneration']}'.",
            )
        storage = source.properties["storageProfile"]
        return storage["osDisk"]["diskSizeGB"] if of_managed else storage["osDiskImage"]["sizeInGB"]


IMAGE_TYPES = (Images, Galleries, GalleryImages, GalleryImageVersions)


def find_image(store: ResourceStore, machine: Resource) -> SourceImage:
    """Return the image that a machine's body names and note in the body which version of it is taken.

    Raises:
        ArmError: There is none for the machine's region, or no machine can be made from it.

    """
    storage: dict[str, Any] = machine.properties.setdefault("storageProfile", {})
    reference: dict[str, Any] = storage.setdefault("imageReference", {})
    image_id = str(reference.get("id") or "")
    if not image_id:
        return _marketplace_image(store, machine, reference)
    image = store.get(image_id)
    if "/galleries/" not in image_id.lower():
        return _managed_image(image, image_id, machine)
    version = _latest(store, image, machine.location) if image and image.type == GALLERY_IMAGES else image
    if version is None or version.type != GALLERY_IMAGE_VERSIONS or not _is_in(version, machine.location):
        wanted = f"{image_id}/versions/latest" if image and image.type == GALLERY_IMAGES else image_id
        raise ArmError(
            404,
            "GalleryImageNotFound",
            f'"The gallery image {wanted} is not available in {machine.location} region. Please contact image owner to '
            'replicate to this region, or change your requested region."',
            target="imageReference",
        )
    reference["exactVersion"] = version.name
    definition = store.get(parent_of(version.id))
    assert definition is not None  # noqa: S101 - the store removes them together
    _check_generalized(definition.properties, machine)
    return SourceImage(
        version.id,
        definition.properties["hyperVGeneration"],
        version.properties["storageProfile"]["osDiskImage"]["sizeInGB"],
        _security_types(definition),
    )


def _marketplace_image(store: ResourceStore, machine: Resource, reference: dict[str, Any]) -> SourceImage:
    names = [str(reference.get(name, "")) for name in IMAGE_NAMES]
    image = store.capacity.image(*names)
    version = str(reference.get("version", ""))
    if image is None or version not in ("latest", *IMAGE_VERSIONS):
        raise ArmError(
            404,
            "PlatformImageNotFound",
            f"The platform image '{':'.join([*names, version])}' is not available. Verify that all fields in the "
            "storage profile are correct. For more details about storage profile information, please refer to "
            "https://aka.ms/storageprofile",
            target="imageReference",
        )
    reference["exactVersion"] = IMAGE_VERSIONS[-1] if version == "latest" else version
    subscription = part_of(machine.id, "subscriptions")
    image_id = (
        f"/Subscriptions/{subscription}/Providers/Microsoft.Compute/Locations/{machine.location}/Publishers/{names[0]}"
        f"/ArtifactTypes/VMImage/Offers/{names[1]}/Skus/{names[2]}/Versions/{reference['exactVersion']}"
    )
    security_types = _ANY_SECURITY if image.generation == "V2" else ("Standard",)
    return SourceImage(image_id, image.generation, image.size_gb, security_types)


def _managed_image(image: Resource | None, image_id: str, machine: Resource) -> SourceImage:
    if (
        image is None
        or image.type != IMAGES
        or image.location != machine.location
        or image.properties["provisioningState"] != "Succeeded"
    ):
        raise ArmError(404, "ImageNotFound", f"The Image '{image_id}' cannot be found in '{machine.location}' region.")
    disk = image.properties["storageProfile"]["osDisk"]
    _check_generalized(disk, machine)
    return SourceImage(image.id, image.properties["hyperVGeneration"], disk["diskSizeGB"], ("Standard",))


def _latest(store: ResourceStore, definition: Resource, region: str) -> Resource | None:
    versions = [
        version
        for version in store.children(definition.id, GALLERY_IMAGE_VERSIONS)
        if not version.properties["publishingProfile"]["excludeFromLatest"] and _is_in(version, region)
    ]
    return max(versions, key=lambda version: [int(part) for part in version.name.split(".")], default=None)


def _is_in(version: Resource, region: str) -> bool:
    regions = [_region(target) for target in version.properties["publishingProfile"]["targetRegions"]]
    return region in regions and version.properties["provisioningState"] in ("Succeeded", "Updating")


def _region(target: dict[str, Any]) -> str:
    return str(target.get("name", "")).replace(" ", "").lower()


def _security_types(definition: Resource) -> tuple[str, ...]:
    features: list[dict[str, str]] = definition.properties.get("features") or []
    named = {feature["name"].lower(): feature["value"].lower() for feature in features}
    return _SECURITY_TYPES.get(named.get("securitytype", ""), ("Standard",))


def _check_generalized(described: dict[str, Any], machine: Resource) -> None:
    if described["osState"] == "Generalized":
        return
    if machine.properties.get("osProfile"):
        raise invalid_parameter("osProfile", "Parameter 'osProfile' is not allowed.")
    raise invalid_parameter("imageReference", "The simulated cloud makes no machines from specialized images.")


def _check_system(described: dict[str, Any], where: str) -> None:
    for name, values in (("osType", ("Windows", "Linux")), ("osState", ("Generalized", "Specialized"))):
        if described.get(name) not in values:
            raise invalid_parameter(f"{where}{name}", f"Required parameter '{where}{name}' is missing or invalid.")


def _check_generation(properties: dict[str, Any]) -> None:
    if properties.setdefault("hyperVGeneration", "V1") not in ("V1", "V2"):
        raise invalid_parameter(
            "hyperVGeneration",
            f"The value '{properties['hyperVGeneration']}' of parameter 'hyperVGeneration' is invalid.",
        )
