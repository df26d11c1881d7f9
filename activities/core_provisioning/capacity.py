"""Step 1: find capacity, and on demand reserve it. Without a reservation Azure's last word comes with the VM."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from azure.core.exceptions import HttpResponseError

from cloud.arm.capacity_reservations import CapacityReservations
from cloud.arm.vm_sizes import VmSizes
from cloud.clients import CloudClients
from cloud.errors import arm_code, arm_message, failure, is_about_capacity
from cloud.execution.shared import Shared
from contract import steps
from contract.core_provisioning import AllocateCapacityInput, AllocatedCapacity
from domain.capacity import SizeOffer, limited

_MAX_REASON = 160
"""Longest reason of one candidate, characters: every candidate's must fit into one message."""


class AllocateCapacity:
    """Reads VM sizes and quota, and reserves capacity where the policy says so."""

    def __init__(self, clients: CloudClients) -> None:
        self._reservations = CapacityReservations(clients)
        sizes = VmSizes(clients)
        self._offers = Shared(sizes.offers, seconds=300)
        self._quotas = Shared(sizes.quotas, seconds=30)

    @steps.ALLOCATE_CAPACITY.implemented_by
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
                    if not is_about_capacity(error):
                        raise
                    refusals.add(candidate.size, candidate.zone, f"{arm_code(error)}: {arm_message(error)}")
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
        for offer in await self._offered(request):
            size = offer.name
            if offer.refusal and not any(vm_size == size for vm_size, _ in refused):
                refusals.add(size, None, offer.refusal)
            for (vm_size, zone), reason in refused.items():
                if vm_size == size:
                    refusals.add(size, zone, reason)
            for zone in offer.zones:
                if (size, zone) not in refused:
                    yield _Candidate(size, zone)

    async def _offered(self, request: AllocateCapacityInput) -> list[SizeOffer]:
        """Return what there is of each of the plan's sizes, in their order.

        What others have read is good enough where the first size can be had by it: quota that is used up since then
        Azure refuses when the VM is made.
        """
        group_id, region = request.cloud_pc.resource_group_id, request.cloud_pc.region
        sizes, fresh = request.service_plan.vm_sizes, bool(request.refused)
        while True:
            offers = await self._offers(group_id, region, sizes, fresh=fresh)
            quotas = await self._quotas(group_id, region, fresh=fresh)
            left = [limited(offer, quotas) for offer in offers.values()]
            if fresh or left[0].refusal is None:
                return left
            fresh = True


class _Refusals:
    """Why sizes and zones cannot be had; zones with one reason are listed together."""

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
