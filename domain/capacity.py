"""Whether a subscription can have machines of a size: what a region offers, and what quota leaves.

Azure's last word comes when a machine is created: neither is a promise of capacity.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SizeOffer:
    """A VM size in a region, whatever the quota.

    Attributes:
        name: Name of the size, such as `Standard_D2as_v5`.
        refusal: Why it cannot be had; None where it can.
        zones: The zones in which it can be had; None among them is a region without zones.
        family: Name of the quota that its cores count against besides the region's.
        cores: Its vCPUs.

    """

    name: str
    refusal: str | None = None
    zones: tuple[str | None, ...] = ()
    family: str = ""
    cores: int = 0

    def needs(self, number: int = 1) -> dict[str, int]:
        """Return what so many machines need, by the quota's name in lower case."""
        cores = max(self.cores, 1) * number
        return {"cores": cores, self.family.lower(): cores, "virtualmachines": number}


@dataclass(frozen=True)
class Quota:
    """A quota of a subscription in a region.

    Attributes:
        name: Azure's name of it.
        used: How much is used.
        limit: How much there is.

    """

    name: str
    used: int
    limit: int

    @property
    def free(self) -> int:
        """How much is left."""
        return self.limit - self.used


def shortage(offer: SizeOffer, quotas: Mapping[str, Quota]) -> str | None:
    """Return which quota has no room for one machine, or None.

    Args:
        offer: The machine's size.
        quotas: Every quota of the region by its name in lower case; one that is not there limits nothing.

    """
    for name, needed in offer.needs().items():
        quota = quotas.get(name)
        if quota is not None and quota.free < needed:
            return f"quota {quota.name} has {quota.free} of {quota.limit} left, {needed} needed"
    return None


def limited(offer: SizeOffer, quotas: Mapping[str, Quota]) -> SizeOffer:
    """Return what is left of an offer where quota has no room; the arguments are those of `shortage`."""
    lack = None if offer.refusal else shortage(offer, quotas)
    return replace(offer, refusal=lack, zones=()) if lack else offer


def scarcest(offer: SizeOffer, quotas: Mapping[str, Quota]) -> tuple[int, Quota] | None:
    """Return for how many machines of a size there is room, and the quota that says so; None where none limits it."""
    rooms = [(quotas[name].free // need, quotas[name]) for name, need in offer.needs().items() if name in quotas]
    return min(rooms, key=lambda room: room[0], default=None)
