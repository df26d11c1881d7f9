"""Step 1: find capacity, and on demand reserve it. Without a reservation Azure's last word comes with the VM."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute.models import ResourceSku, Usage
from temporalio import activity

from activities.core_provisioning.capacity_reservations import CapacityReservations
from activities.error_catalogue import find
from activities.errors import arm_code, arm_message, failure
from activities.shared import Shared
from activities.signatures import AllocateCapacityInput, AllocatedCapacity, ErrorClass
from cloud.clients import CloudClients

_MAX_REASON = 160
"""Longest reason of one candidate, characters: every candidate's must fit into one message."""
_Offer = tuple[str | None, list[str | None]]
"""What `offer` returns."""


@dataclass(frozen=True)
class _Quota:
    """Free cores and machines, by Azure's name of the quota."""

    usages: dict[str, Usage]

    def limited(self, offered: _Offer, sku: ResourceSku | None) -> _Offer:
        """Return what is left of an offer of a size where there is no quota for one VM of it."""
        if sku is not None and offered[0] is None and (shortage := self.shortage(sku.family or "", cores(sku))):
            return shortage, []
        return offered

    def shortage(self, family: str, cores: int) -> str | None:
        """Return which quota has no room for one VM of `cores`, or None."""
        for name, needed in (("cores", cores), (family, cores), ("virtualMachines", 1)):
            usage = self.usages.get(name.lower())
            if usage is not None and usage.current_value + needed > usage.limit:
                return f"quota {name} has {usage.limit - usage.current_value} of {usage.limit} left, {needed} needed"
        return None


class AllocateCapacity:
    """Reads resource SKUs and quota, and reserves capacity where the policy says so.

    Sources: https://learn.microsoft.com/rest/api/compute/resource-skus/list and
    https://learn.microsoft.com/rest/api/compute/usage/list
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._reservations = CapacityReservations(clients)
        self._sizes = Shared(self._read_sizes, seconds=300)
        self._quota = Shared(self._read_quota, seconds=30)

    @activity.defn
    async def allocate_capacity(self, request: AllocateCapacityInput) -> AllocatedCapacity:
        """Return the plan's first VM size, and a zone, that restrictions and quota allow and Azure has not refused.

        Raises:
            ApplicationError: `NoCapacity` with the reason of every size and zone.

        """
        cloud_pc, plan = request.cloud_pc, request.service_plan
        refusals = _Refusals()
        async for candidate in self._candidates(request, refusals):
            group_id = None
            if request.capacity_reservation:
                try:
                    group_id = await self._reservations.ensure(cloud_pc, candidate.size, candidate.zone)
                except HttpResponseError as error:
                    code = arm_code(error)
                    if find(code, error.message, error.status_code).error_class != ErrorClass.CAPACITY:
                        raise
                    refusals.add(candidate.size, candidate.zone, f"{code}: {arm_message(error)}")
                    await self._reservations.remove(cloud_pc)
                    continue
            refused = f"; refused: {refusals}" if request.refused else ""
            return AllocatedCapacity(
                vm_size=candidate.size,
                zone=candidate.zone,
                capacity_reservation_group_id=group_id,
                detail=f"{candidate} in {cloud_pc.region}{', reserved' if group_id else ''}{refused}",
            )
        raise failure("NoCapacity", f"no VM size of {plan.id} can be had in {cloud_pc.region}: {refusals}")

    async def _candidates(self, request: AllocateCapacityInput, refusals: "_Refusals") -> AsyncIterator["_Candidate"]:
        """Yield the sizes and zones that may be had; why others may not goes to `refusals`."""
        refused = {(item.vm_size, item.zone): item.reason for item in request.refused}
        for size, (refusal, zones) in (await self._offers(request)).items():
            if refusal and not any(vm_size == size for vm_size, _ in refused):
                refusals.add(size, None, refusal)
            for (vm_size, zone), reason in refused.items():
                if vm_size == size:
                    refusals.add(size, zone, reason)
            for zone in zones:
                if (size, zone) not in refused:
                    yield _Candidate(size, zone)

    async def _offers(self, request: AllocateCapacityInput) -> dict[str, _Offer]:
        """Return what there is of each of the plan's sizes.

        What others have read is good enough where the first size can be had by it: quota that is used up meanwhile
        Azure refuses when the VM is made.
        """
        group_id, region = request.cloud_pc.resource_group_id, request.cloud_pc.region
        sizes, fresh = request.service_plan.vm_sizes, bool(request.refused)
        while True:
            skus = await self._sizes(group_id, region, sizes, fresh=fresh)
            quota = await self._quota(group_id, region, fresh=fresh)
            offers = {size: quota.limited(offer(skus.get(size), region), skus.get(size)) for size in sizes}
            if fresh or offers[sizes[0]][0] is None:
                return offers
            fresh = True

    async def _read_sizes(
        self, group_id: str | None, region: str, sizes: tuple[str, ...]
    ) -> dict[str | None, ResourceSku]:
        compute: Any = self._groups.get(group_id).compute
        return {
            sku.name: sku
            async for sku in compute.resource_skus.list(filter=f"location eq '{region}'")
            if sku.resource_type == "virtualMachines" and sku.name in sizes
        }

    async def _read_quota(self, group_id: str | None, region: str) -> "_Quota":
        compute: Any = self._groups.get(group_id).compute
        return _Quota({str(usage.name.value).lower(): usage async for usage in compute.usage.list(region)})


class _Refusals:
    """Why sizes and zones cannot be had; zones with one reason are told together."""

    def __init__(self) -> None:
        self._zones: dict[tuple[str, str], list[str]] = {}

    def add(self, size: str, zone: str | None, reason: str) -> None:
        """Note the reason, its first sentence."""
        zones = self._zones.setdefault((size, _sentence(reason)), [])
        if zone:
            zones.append(zone)

    def __str__(self) -> str:
        return "; ".join(
            f"{size}{', zone ' + ', '.join(zones) if zones else ''}: {reason}"
            for (size, reason), zones in self._zones.items()
        )


def _sentence(text: str) -> str:
    sentence = text.partition(". ")[0]
    return sentence if len(sentence) <= _MAX_REASON else sentence[: _MAX_REASON - 1] + "…"


@dataclass(frozen=True)
class _Candidate:
    """A VM size in a zone, or in a region without zones."""

    size: str
    zone: str | None

    def __str__(self) -> str:
        return f"{self.size}, zone {self.zone}" if self.zone else f"{self.size}, no zone"


def offer(sku: ResourceSku | None, region: str) -> _Offer:
    """Tell whether a VM size is offered for Cloud PCs, whatever the quota.

    Args:
        sku: The size in that region, as `resource_skus.list` describes it; None where it does not.
        region: Azure region, short name.

    Returns:
        Why it cannot be had (None when it can), and the zones in which it can; None is a region without zones.

    """
    if sku is None:
        return f"not offered in {region}", []
    if "V2" not in _capability(sku, "HyperVGenerations").split(","):
        return "no generation 2 machines, which Trusted Launch needs", []
    restrictions = sku.restrictions or []
    for restriction in restrictions:
        if restriction.type == "Location":
            return f"restricted: {restriction.reason_code}", []
    restricted = set(_zones(item.restriction_info.zones for item in restrictions if item.restriction_info))
    offered = sorted(_zones(info.zones for info in sku.location_info or []))
    free: list[str | None] = [zone for zone in offered if zone not in restricted]
    if offered and not free:
        return "restricted in every zone", []
    return None, free or [None]


def cores(sku: ResourceSku) -> int:
    """Return how many vCPUs a VM size has."""
    return int(_capability(sku, "vCPUs") or 0)


def _capability(sku: ResourceSku, name: str) -> str:
    return next((item.value or "" for item in sku.capabilities or [] if item.name == name), "")


def _zones(groups: Iterable[Iterable[str] | None]) -> Iterator[str]:
    for group in groups:
        yield from group or []
