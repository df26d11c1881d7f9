"""VM sizes and quota of a region, as Azure tells them.

Sources: https://learn.microsoft.com/rest/api/compute/resource-skus/list and
https://learn.microsoft.com/rest/api/compute/usage/list
"""

from collections.abc import Iterable, Iterator
from typing import Any

from azure.mgmt.compute.models import ResourceSku

from cloud.clients import CloudClients
from domain.capacity import Quota, SizeOffer


class VmSizes:
    """Reads what a subscription can have in a region."""

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups

    async def offers(self, group_id: str | None, region: str, sizes: Iterable[str]) -> dict[str, SizeOffer]:
        """Return what a region offers of each of these sizes.

        Args:
            group_id: ARM id of a resource group of the subscription; None is the worker's own.
            region: Azure region, short name.
            sizes: Names of VM sizes.

        """
        compute: Any = self._groups.get(group_id).compute
        wanted = list(sizes)
        found = {
            sku.name: sku
            async for sku in compute.resource_skus.list(filter=f"location eq '{region}'")
            if sku.resource_type == "virtualMachines" and sku.name in wanted
        }
        return {size: _offer(size, found.get(size), region) for size in wanted}

    async def quotas(self, group_id: str | None, region: str) -> dict[str, Quota]:
        """Return every quota of a region by its name in lower case; the arguments are those of `offers`."""
        compute: Any = self._groups.get(group_id).compute
        quotas = [
            Quota(str(usage.name.value), usage.current_value, usage.limit) async for usage in compute.usage.list(region)
        ]
        return {quota.name.lower(): quota for quota in quotas}


def _offer(size: str, sku: ResourceSku | None, region: str) -> SizeOffer:
    """Tell whether a size is offered for Cloud PCs; None is one that the region does not list."""
    if sku is None:
        return SizeOffer(size, f"not offered in {region}")
    refusal, zones = _refusal_and_zones(sku)
    return SizeOffer(size, refusal, tuple(zones), sku.family or "", int(_capability(sku, "vCPUs") or 0))


def _refusal_and_zones(sku: ResourceSku) -> tuple[str | None, list[str | None]]:
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


def _capability(sku: ResourceSku, name: str) -> str:
    return next((item.value or "" for item in sku.capabilities or [] if item.name == name), "")


def _zones(groups: Iterable[Iterable[str] | None]) -> Iterator[str]:
    for group in groups:
        yield from group or []
