"""Images: what a Cloud PC can be made from, and what is refused before a machine is made.

Source: https://learn.microsoft.com/windows-365/enterprise/device-images
"""

from collections.abc import Iterable
from typing import Any

from azure.core.exceptions import ResourceNotFoundError

from cloud.clients import CloudClients
from cloud.errors import failure
from cloud.execution.shared import Shared
from models.provisioning_policy import CustomImage, GalleryImage
from models.types import ResourceId

_MULTI_SESSION = ("-avd", "-evd", "multi-session")
"""What the names of multi-session images of Windows hold."""


def image_reference(image: GalleryImage | CustomImage) -> dict[str, str]:
    """Return the image as Azure Resource Manager's `imageReference`."""
    if isinstance(image, CustomImage):
        return {"id": image.id}
    return {"publisher": image.publisher, "offer": image.offer, "sku": image.sku, "version": "latest"}


class Images:
    """Looks at images before machines are made from them."""

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._checked = Shared(self._check, seconds=300)

    async def check(self, image: GalleryImage | CustomImage, region: str, disk_size_gb: int) -> bool:
        """See that a Cloud PC can be made from the image, and return whether the image supports Trusted Launch.

        That a managed image is single-session cannot be seen in Azure.

        Args:
            image: The image.
            region: Where it is to be used.
            disk_size_gb: Size of the Cloud PC's disk, GiB.

        Raises:
            ApplicationError: `ResourceNotAllowed`, `sourceImageNotFound`, `sourceImageNotGeneralized`,
                `sourceImageInvalid`, `sourceImageSizeExceedsLimitation` or `sourceImageWithDataDiskNotSupported`.

        """
        return await self._checked(image, region, disk_size_gb)

    async def _check(self, image: GalleryImage | CustomImage, region: str, disk_size_gb: int) -> bool:
        try:
            if isinstance(image, GalleryImage):
                return await self._check_gallery_image(image, region)
            id = ResourceId.parse(image.id)
            if id.of("galleries"):
                return await self._check_compute_gallery_image(image.id, id, region, disk_size_gb)
            await self._check_managed_image(image.id, id, region, disk_size_gb)
        except ResourceNotFoundError as error:
            raise failure("sourceImageNotFound", f"there is no image {_name(image)} in {region}") from error
        # Azure makes no Trusted Launch machines from managed images.
        return False

    async def _check_gallery_image(self, image: GalleryImage, region: str) -> bool:
        _refuse_multi_session(image.sku)
        images = self._groups.get().compute.virtual_machine_images
        found: Any = await images.get(region, image.publisher, image.offer, image.sku, "latest")
        _refuse_generation(found.properties.hyper_v_generation)
        return _supports_trusted_launch(found.properties.features)

    async def _check_managed_image(self, image_id: str, id: ResourceId, region: str, disk_size_gb: int) -> None:
        group = self._groups.get(image_id)
        image: Any = await group.compute.images.get(group.name, id.name)
        properties = image.properties
        _refuse_region(image_id, {image.location}, region)
        _refuse_generation(properties.hyper_v_generation)
        disk = properties.storage_profile.os_disk
        _refuse_state(disk.os_type, disk.os_state)
        _refuse_size(disk.disk_size_gb, disk_size_gb)
        if properties.storage_profile.data_disks:
            raise failure("sourceImageWithDataDiskNotSupported", f"{image_id} has data disks")

    async def _check_compute_gallery_image(self, image_id: str, id: ResourceId, region: str, disk_size_gb: int) -> bool:
        group, version = self._groups.get(image_id), id.of("versions")
        names = (group.name, id.of("galleries"), id.of("images"))
        image: Any = (await group.compute.gallery_images.get(*names)).properties
        _refuse_generation(image.hyper_v_generation)
        _refuse_state(image.os_type, image.os_state)
        _refuse_multi_session(image.identifier.sku, image.identifier.offer)
        versions: Any = group.compute.gallery_image_versions
        if version:
            candidates = [await versions.get(*names, version)]
        else:
            candidates = [found async for found in versions.list_by_gallery_image(*names)]
        there = [
            found
            for found in candidates
            if region in _regions(found) and (version or not found.properties.publishing_profile.exclude_from_latest)
        ]
        if not there:
            _refuse_region(image_id, {name for found in candidates for name in _regions(found)}, region)
        for found in there:
            profile = found.properties.storage_profile
            _refuse_size(profile.os_disk_image.size_in_gb, disk_size_gb)
            if profile.data_disk_images:
                raise failure("sourceImageWithDataDiskNotSupported", f"{image_id} has data disks")
        return _supports_trusted_launch(image.features)


def _supports_trusted_launch(features: Iterable[Any] | None) -> bool:
    """Read an image's features: https://learn.microsoft.com/azure/virtual-machines/trusted-launch."""
    values = [str(feature.value) for feature in features or [] if feature.name == "SecurityType"]
    return any(value.startswith("TrustedLaunch") for value in values)


def _name(image: GalleryImage | CustomImage) -> str:
    return image.id if isinstance(image, CustomImage) else f"{image.publisher}_{image.offer}_{image.sku}"


def _regions(version: Any) -> set[str]:
    """Return the regions of an image version, which Azure writes as short or as display names."""
    targets: list[Any] = version.properties.publishing_profile.target_regions or []
    return {str(target.name).replace(" ", "").lower() for target in targets}


def _refuse_region(image_id: str, regions: set[str], region: str) -> None:
    if region not in regions:
        there = ", ".join(sorted(regions)) or "no region"
        raise failure("sourceImageInvalid", f"{image_id} is in {there}, not in {region}: replicate it")


def _refuse_generation(generation: str | None) -> None:
    if generation != "V2":
        raise failure("sourceImageInvalid", "the image is of generation 1; Trusted Launch needs generation 2")


def _refuse_state(os_type: str | None, os_state: str | None) -> None:
    if os_type != "Windows":
        raise failure("sourceImageInvalid", "the image is not of Windows")
    if os_state != "Generalized":
        raise failure("sourceImageNotGeneralized", "the image is not generalized")


def _refuse_multi_session(*names: str) -> None:
    for name in names:
        if any(word in name.lower() for word in _MULTI_SESSION):
            raise failure("sourceImageInvalid", f"{name} is a multi-session Windows; a Cloud PC has one user")


def _refuse_size(image_gb: int | None, disk_gb: int) -> None:
    if image_gb is not None and image_gb > disk_gb:
        raise failure("sourceImageSizeExceedsLimitation", f"the image has {image_gb} GiB, the plan's disk {disk_gb}")
