"""What Microsoft.Compute offers: VM sizes with their restrictions, quota, Marketplace images."""

import re
from typing import Any

from aiohttp import web

from simulator.arm.call import Call
from simulator.arm.capacity import IMAGE_VERSIONS, Capacity, Image, VirtualMachineSize
from simulator.arm.errors import ArmError

_LOCATION_FILTER = re.compile(r"\s*location\s+eq\s+'(?P<region>[^']*)'\s*", re.IGNORECASE)


def resource_skus(capacity: Capacity, call: Call) -> web.Response:
    """Answer `GET .../Microsoft.Compute/skus`, of all regions or filtered by `location eq '...'`."""
    text = call.query.get("$filter", "")
    wanted = _LOCATION_FILTER.fullmatch(text)
    if text and wanted is None:
        raise ArmError(400, "InvalidFilter", f"The filter '{text}' is not supported.")
    regions = [r for r in capacity.regions if wanted is None or wanted["region"].lower() == r]
    return web.json_response({"value": [_sku(capacity, s, r) for r in regions for s in capacity.sizes.values()]})


def compute_usages(capacity: Capacity, subscription: str, region: str) -> web.Response:
    """Answer `GET .../Microsoft.Compute/locations/{region}/usages`."""
    usages = [
        {
            "name": {"value": name, "localizedValue": localized},
            "currentValue": capacity.used[subscription, region, name],
            "limit": capacity.limit(region, name),
            "unit": "Count",
        }
        for name, localized in capacity.usages().items()
    ]
    return web.json_response({"value": usages})


def marketplace_images(capacity: Capacity, call: Call, subscription: str) -> web.Response:
    """Answer what is asked below `.../Microsoft.Compute/locations/{region}/publishers`."""
    _, region, *path = call.address.segments
    folded = [segment.lower() for segment in path]
    base = f"{subscription}/Providers/Microsoft.Compute/Locations/{region}"
    match folded:
        case ["publishers"]:
            names = {i.publisher: f"{base}/Publishers/{i.publisher}" for i in capacity.images}
            return _named(region, names)
        case ["publishers", publisher, "artifacttypes", "vmimage", "offers"]:
            found = [i for i in capacity.images if i.publisher.lower() == publisher]
            return _named(region, {i.offer: f"{base}{_path(i, 'offer')}" for i in found})
        case ["publishers", publisher, "artifacttypes", "vmimage", "offers", offer, "skus"]:
            found = [i for i in capacity.images if (i.publisher.lower(), i.offer.lower()) == (publisher, offer)]
            return _named(region, {i.sku: f"{base}{_path(i, 'sku')}" for i in found})
        case ["publishers", publisher, "artifacttypes", "vmimage", "offers", offer, "skus", sku, "versions", *version]:
            image = capacity.image(publisher, offer, sku)
            if image is None or not set(version) <= {"latest", *IMAGE_VERSIONS}:
                raise ArmError(
                    404,
                    "NotFound",
                    f"Artifact: VMImage was not found: {publisher}, {offer}, {sku} {''.join(version)}".rstrip(),
                )
            if not version:
                names = {number: f"{base}{_path(image, 'sku')}/Versions/{number}" for number in IMAGE_VERSIONS}
                return _named(region, names, newest_first="desc" in call.query.get("$orderby", ""))
            number = IMAGE_VERSIONS[-1] if version == ["latest"] else version[0]
            return web.json_response(_image(region, image, number, f"{base}{_path(image, 'sku')}/Versions/{number}"))
        case _:
            raise ArmError(404, "NotFound", f"No resource was found at {call.path}.")


def _named(region: str, names: dict[str, str], *, newest_first: bool = False) -> web.Response:
    items = [{"id": id, "name": name, "location": region} for name, id in names.items()]
    return web.json_response(items[::-1] if newest_first else items)


def _path(image: Image, upto: str) -> str:
    path = f"/Publishers/{image.publisher}/ArtifactTypes/VMImage/Offers/{image.offer}"
    return path if upto == "offer" else f"{path}/Skus/{image.sku}"


def _image(region: str, image: Image, version: str, image_id: str) -> dict[str, Any]:
    features = [{"name": "SecurityType", "value": "TrustedLaunchSupported"}] if image.generation == "V2" else []
    return {
        "id": image_id,
        "name": version,
        "location": region,
        "properties": {
            "hyperVGeneration": image.generation,
            "architecture": "x64",
            "osDiskImage": {"operatingSystem": "Windows"},
            "dataDiskImages": [],
            "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": False},
            "features": features,
            "imageDeprecationStatus": {"imageState": "Active"},
        },
    }


def _sku(capacity: Capacity, size: VirtualMachineSize, region: str) -> dict[str, Any]:
    capabilities = {
        "vCPUs": size.vCPUs,
        "vCPUsAvailable": size.vCPUs,
        "MemoryGB": size.memoryGB,
        "HyperVGenerations": size.generations,
        "CpuArchitectureType": "x64",
        "OSVhdSizeMB": 1_047_552,
        "MaxDataDiskCount": max(2, size.vCPUs),
        "MaxNetworkInterfaces": 2,
        "PremiumIO": True,
        "AcceleratedNetworkingEnabled": size.vCPUs > 1,
        "EphemeralOSDiskSupported": False,
        "LowPriorityCapable": size.vCPUs > 1,
        "CapacityReservationSupported": size.reservable,
        "TrustedLaunchDisabled": "V2" not in size.generations.split(","),
        **({"GPUs": size.gpus} if size.gpus else {}),
    }
    return {
        "resourceType": "virtualMachines",
        "name": size.name,
        "tier": "Standard",
        "size": size.name.removeprefix("Standard_"),
        "family": size.family,
        "locations": [region],
        "locationInfo": [{"location": region, "zones": capacity.regions[region]["zones"], "zoneDetails": []}],
        "capabilities": [{"name": name, "value": str(value)} for name, value in capabilities.items()],
        "restrictions": [
            {
                "type": "Zone" if restriction.zones else "Location",
                "values": [region],
                "reasonCode": restriction.reason_code,
                "restrictionInfo": {
                    "locations": [region],
                    **({"zones": [*restriction.zones]} if restriction.zones else {}),
                },
            }
            for restriction in capacity.restrictions_of(size, region)
        ],
    }
