"""What the subscription may have: VM sizes by region, their restrictions, quota, and gallery images."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE_DISK_GB = 127
"""Size of the OS disk of every gallery image."""
IMAGE_VERSIONS = ("26100.3775.250406", "26100.4652.250710")
"""The versions of every gallery image, oldest first."""
DEFAULT_LIMIT = 50_000
"""Limit of every usage until it is changed."""

CORES = "cores"
"""Name of the usage that counts vCPUs of all families in a region."""
VIRTUAL_MACHINES = "virtualMachines"
"""Name of the usage that counts machines in a region."""


@dataclass(frozen=True)
class VirtualMachineSize:
    """One VM size: vCPUs, memory in GiB, the Hyper-V generations it boots such as `V1,V2`, GPUs."""

    name: str
    family: str
    vCPUs: int
    memoryGB: int
    generations: str
    gpus: int = 0


@dataclass(frozen=True)
class Restriction:
    """A size that the subscription cannot have in a region, or only not in some zones of it."""

    size: str
    region: str
    zones: tuple[str, ...] = ()
    reason_code: str = "NotAvailableForSubscription"


@dataclass(frozen=True)
class Image:
    """One gallery image; `generation` is the Hyper-V generation it boots on, `size_gb` its disk's size, GiB."""

    publisher: str
    offer: str
    sku: str
    generation: str
    size_gb: int = IMAGE_DISK_GB


class Capacity:
    """What the subscription may have; every attribute may be changed while the cloud runs.

    Attributes:
        regions: Display name and zones by short name.
        sizes: VM sizes by their name in lower case; every region has all of them.
        restrictions: What the subscription cannot have.
        limits: Quota by (region, usage name), `DEFAULT_LIMIT` where there is none.
        used: What is in use, by (region, usage name).
        images: Gallery images, the same in every region.

    """

    def __init__(self) -> None:
        catalog: dict[str, Any] = json.loads((Path(__file__).parent / "catalog.json").read_text())
        self.regions: dict[str, dict[str, Any]] = catalog["regions"]
        self.sizes = {size["name"].lower(): VirtualMachineSize(**size) for size in catalog["virtualMachineSizes"]}
        self.restrictions = [Restriction(r["size"], r["region"], tuple(r["zones"])) for r in catalog["restrictions"]]
        self.limits: dict[tuple[str, str], int] = {}
        self.used: Counter[tuple[str, str]] = Counter()
        self.images = [Image(**image) for image in catalog["images"]]

    def limit(self, region: str, usage: str) -> int:
        """Return the quota of a usage."""
        return self.limits.get((region, usage), DEFAULT_LIMIT)

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

    def needs(self, size: VirtualMachineSize | None) -> Counter[str]:
        """Return how much one machine of a size takes of each usage; nothing for no machine."""
        if size is None:
            return Counter()
        return Counter({CORES: size.vCPUs, size.family: size.vCPUs, VIRTUAL_MACHINES: 1})

    def move(self, region: str, old: VirtualMachineSize | None, new: VirtualMachineSize | None) -> None:
        """Count a machine of a new size in place of one of an old size; None is no machine."""
        for usage, count in self.needs(old).items():
            self.used[region, usage] -= count
        for usage, count in self.needs(new).items():
            self.used[region, usage] += count

    def exceeded(
        self, region: str, old: VirtualMachineSize | None, new: VirtualMachineSize
    ) -> Iterator[tuple[str, int]]:
        """Yield each usage whose limit a move would exceed, and how much more the move takes of it."""
        before = self.needs(old)
        for usage, count in self.needs(new).items():
            more = count - before[usage]
            if more > 0 and self.used[region, usage] + more > self.limit(region, usage):
                yield usage, more

    def image(self, publisher: str, offer: str, sku: str) -> Image | None:
        """Return a gallery image by its names, ignoring case, or None."""
        wanted = (publisher.lower(), offer.lower(), sku.lower())
        return next((i for i in self.images if (i.publisher.lower(), i.offer.lower(), i.sku.lower()) == wanted), None)
