"""Step 1: find capacity. Advisory: Azure's last word comes when the VM is created."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from azure.mgmt.compute.models import ResourceSku, Usage
from temporalio import activity

from activities.errors import terminal
from activities.signatures import AllocateCapacityInput, AllocatedCapacity
from cloud.clients import CloudClients


@dataclass(frozen=True)
class _Quota:
    """Free cores and machines, by Azure's name of the quota."""

    usages: dict[str, Usage]

    def shortage(self, family: str, cores: int) -> str | None:
        """Return which quota has no room for one VM of `cores`, or None."""
        for name, needed in (("cores", cores), (family, cores), ("virtualMachines", 1)):
            usage = self.usages.get(name.lower())
            if usage is not None and usage.current_value + needed > usage.limit:
                return f"quota {name} has {usage.limit - usage.current_value} of {usage.limit} left, {needed} needed"
        return None


class AllocateCapacity:
    """Reads resource SKUs and quota.

    Sources: https://learn.microsoft.com/rest/api/compute/resource-skus/list and
    https://learn.microsoft.com/rest/api/compute/usage/list
    """

    def __init__(self, clients: CloudClients) -> None:
        self._compute = clients.compute

    @activity.defn
    async def allocate_capacity(self, request: AllocateCapacityInput) -> AllocatedCapacity:
        """Return the plan's first VM size, and a zone, that restrictions and quota allow.

        Raises:
            ApplicationError: `NoCapacity` with the reason of every size.

        """
        region = request.cloud_pc.region
        skus = {
            sku.name: sku
            async for sku in self._compute.resource_skus.list(filter=f"location eq '{region}'")
            if sku.resource_type == "virtualMachines" and sku.name in request.service_plan.vm_sizes
        }
        quota = _Quota({str(usage.name.value).lower(): usage async for usage in self._compute.usage.list(region)})
        refusals: list[str] = []
        for size in request.service_plan.vm_sizes:
            refusal, zone = _availability(skus.get(size), region, quota)
            if refusal is None:
                where = f"zone {zone}" if zone else "no zone"
                return AllocatedCapacity(vm_size=size, zone=zone, detail=f"{size} in {region}, {where}")
            refusals.append(f"{size}: {refusal}")
        raise terminal(
            "NoCapacity",
            f"no VM size of {request.service_plan.id} can be had in {region}: {'; '.join(refusals)}",
            "raise the quota or choose another plan or region, then reprovision",
        )


def _availability(sku: ResourceSku | None, region: str, quota: _Quota) -> tuple[str | None, str | None]:
    """Return why the size cannot be had (None when it can), and the zone to take."""
    if sku is None:
        return f"not offered in {region}", None
    capabilities = {item.name: item.value for item in sku.capabilities or []}
    if "V2" not in str(capabilities.get("HyperVGenerations", "")).split(","):
        return "no generation 2 machines, which Trusted Launch needs", None
    restrictions = sku.restrictions or []
    for restriction in restrictions:
        if restriction.type == "Location":
            return f"restricted: {restriction.reason_code}", None
    restricted = set(_zones(item.restriction_info.zones for item in restrictions if item.restriction_info))
    offered = sorted(_zones(info.zones for info in sku.location_info or []))
    free = [zone for zone in offered if zone not in restricted]
    if offered and not free:
        return "restricted in every zone", None
    shortage = quota.shortage(sku.family or "", int(capabilities.get("vCPUs") or 0))
    return shortage, free[0] if free else None


def _zones(groups: Iterable[Iterable[str] | None]) -> Iterator[str]:
    for group in groups:
        yield from group or []
