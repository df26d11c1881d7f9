"""What may be had: VM sizes by region, their restrictions, quota, what has run out, and Marketplace images."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE_DISK_GB = 127
"""Size of the OS disk of a Marketplace image, GiB."""
IMAGE_VERSIONS = ("26100.3775.250406", "26100.4652.250710")
"""The versions of every Marketplace image, oldest first."""
DEFAULT_LIMIT = 50_000
"""Limit of every usage until it is changed."""

CORES = "cores"
"""Name of the usage that counts vCPUs of all families in a region."""
VIRTUAL_MACHINES = "virtualMachines"
"""Name of the usage that counts machines in a region."""

SKU_NOT_AVAILABLE = "SkuNotAvailable"
"""How a request is refused at once for a size that cannot be had."""
QUOTA_EXCEEDED = "OperationNotAllowed"
"""How a request is refused at once that exceeds the quota."""
_NO_ROOM = (
    "Allocation failed. We do not have sufficient capacity for the requested VM size in this {place}. Read more about "
    "improving likelihood of allocation success at http://aka.ms/allocation-guidance"
)
_CONSTRAINTS = (
    "Allocation failed. VM(s) with the following constraints cannot be allocated, because the condition is too "
    "restrictive. Please remove some constraints and try again. Constraints applied are:\n  - {constraint}\n"
    "  - VM Size\n"
)
ALLOCATION_FAILURES = {
    "AllocationFailed": _NO_ROOM.format(place="region"),
    "ZonalAllocationFailed": _NO_ROOM.format(place="zone"),
    "OverconstrainedAllocationRequest": _CONSTRAINTS.format(
        constraint="Networking Constraints (such as Accelerated Networking or IPv6)"
    ),
    "OverconstrainedZonalAllocationRequest": _CONSTRAINTS.format(constraint="Availability Zone"),
}
"""How an accepted request fails for which there is no room, with the message of each code.

Source: learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/allocation-failure
"""


@dataclass(frozen=True)
class VirtualMachineSize:
    """One VM size: vCPUs, memory in GiB, the Hyper-V generations it boots such as `V1,V2`, GPUs, whether reservable."""

    name: str
    family: str
    vCPUs: int
    memoryGB: int
    generations: str
    gpus: int = 0
    reservable: bool = True


@dataclass(frozen=True)
class Restriction:
    """A size that the subscription cannot have in a region, or only not in some zones of it."""

    size: str
    region: str
    zones: tuple[str, ...] = ()
    reason_code: str = "NotAvailableForSubscription"


@dataclass(frozen=True)
class Image:
    """One Marketplace image; `generation` is the Hyper-V generation it boots on, `size_gb` its disk's size, GiB."""

    publisher: str
    offer: str
    sku: str
    generation: str
    size_gb: int = IMAGE_DISK_GB


class Capacity:
    """What may be had; every attribute may be changed while the cloud runs.

    Attributes:
        regions: Display name and zones by short name.
        sizes: VM sizes by their name in lower case; every region has all of them.
        restrictions: What the subscriptions cannot have.
        refusals: The code with which new machines and reservations of a size are refused, by (region, size in lower
            case, zone); the zone None stands for all zones and for none. See `refuse`.
        limits: Quota of each subscription by (region, usage name), `DEFAULT_LIMIT` where there is none.
        used: What is in use, by (subscription, region, usage name).
        images: Marketplace images, the same in every region.

    """

    def __init__(self) -> None:
        catalog: dict[str, Any] = json.loads((Path(__file__).parent / "catalog.json").read_text())
        self.regions: dict[str, dict[str, Any]] = catalog["regions"]
        self.sizes = {size["name"].lower(): VirtualMachineSize(**size) for size in catalog["virtualMachineSizes"]}
        self.restrictions = [Restriction(r["size"], r["region"], tuple(r["zones"])) for r in catalog["restrictions"]]
        self.refusals: dict[tuple[str, str, str | None], str] = {}
        self.limits: dict[tuple[str, str], int] = {}
        self.used: Counter[tuple[str, str, str]] = Counter()
        self.images = [Image(**image) for image in catalog["images"]]

    def refuse(self, region: str, size: str, code: str, zone: str | None = None) -> None:
        """Let there be no room for new machines and reservations of a size.

        Args:
            region: Short name, such as `westeurope`.
            size: VM size.
            code: `SKU_NOT_AVAILABLE` or `QUOTA_EXCEEDED`, with which the request is refused, or one of
                `ALLOCATION_FAILURES`, with which the operation fails that it began.
            zone: The zone that is full, or None: the whole region is.

        Raises:
            ValueError: There is no such region, size or code.

        """
        if region not in self.regions or size.lower() not in self.sizes:
            raise ValueError(f"{size} in {region} is not in the catalog")
        if code not in (SKU_NOT_AVAILABLE, QUOTA_EXCEEDED, *ALLOCATION_FAILURES):
            raise ValueError(f"code: {code!r} is no way to refuse a machine")
        self.refusals[region, size.lower(), zone] = code

    def refusal(self, region: str, size: VirtualMachineSize, zone: str | None) -> str | None:
        """Return the code with which a new machine of a size is refused, in a zone or in none, or None."""
        name = size.name.lower()
        return self.refusals.get((region, name, zone)) or self.refusals.get((region, name, None))

    def limit(self, region: str, usage: str) -> int:
        """Return the quota of a usage."""
        return self.limits.get((region, usage), DEFAULT_LIMIT)

    def set_limit(self, region: str, limit: int) -> None:
        """Set the quota of every usage in a region.

        Raises:
            ValueError: There is no such region.

        """
        if region not in self.regions:
            raise ValueError(f"region: {region!r} is not in the catalog")
        self.limits |= {(region, usage): limit for usage in self.usages()}

    def usages(self) -> dict[str, str]:
        """Return the localized names of all usages by name."""
        families = dict.fromkeys(size.family for size in self.sizes.values())
        return {
            CORES: "Total Regional vCPUs",
            VIRTUAL_MACHINES: "Virtual Machines",
            **{family: f"{family.removesuffix('Family').strip()} Family vCPUs" for family in families},
        }

    def restrictions_of(self, size: VirtualMachineSize, region: str) -> list[Restriction]:
        """Return what is in force against a size in a region."""
        return [r for r in self.restrictions if r.size.lower() == size.name.lower() and r.region == region]

    def is_offered(self, size: VirtualMachineSize, region: str, zone: str | None) -> bool:
        """Return whether the subscription can have a size in a region, in one zone of it or in none."""
        return not any(not r.zones or zone in r.zones for r in self.restrictions_of(size, region))

    def cores(self, size: VirtualMachineSize, count: int = 1) -> Counter[str]:
        """Return how much the cores of so many machines of a size take of each usage."""
        return Counter({CORES: size.vCPUs * count, size.family: size.vCPUs * count})

    def use(self, subscription: str, region: str, more: Mapping[str, int]) -> None:
        """Count that a subscription uses more, or less, of each usage."""
        for usage, count in more.items():
            self.used[subscription, region, usage] += count

    def exceeded(self, subscription: str, region: str, more: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """Yield each usage whose limit a subscription would exceed by using more, and how much more that is."""
        for usage, count in more.items():
            if count > 0 and self.used[subscription, region, usage] + count > self.limit(region, usage):
                yield usage, count

    def image(self, publisher: str, offer: str, sku: str) -> Image | None:
        """Return a Marketplace image by its names, ignoring case, or None."""
        wanted = (publisher.lower(), offer.lower(), sku.lower())
        return next((i for i in self.images if (i.publisher.lower(), i.offer.lower(), i.sku.lower()) == wanted), None)
