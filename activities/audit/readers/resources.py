"""The resources of a resource group: what is ours by its tags and its name."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from azure.core.rest import HttpRequest

from cloud.arm.extensions import DOMAIN_JOIN
from cloud.clients import CloudClients
from domain import naming
from domain.audit import SUFFIXES, Part
from models.audit import PartKind
from models.provisioning_policy import DomainJoinType
from models.types import ResourceId, is_cloud_pc_id, is_guid, parent_id, same_id

Json = dict[str, Any]
_RESOURCES_API = "2024-07-01"
"""api-version of Microsoft.Resources, for which no SDK is installed."""
_KINDS = {
    "microsoft.compute/virtualmachines": PartKind.VIRTUAL_MACHINE,
    "microsoft.network/networkinterfaces": PartKind.NETWORK_INTERFACE,
    "microsoft.compute/disks": PartKind.DISK,
    "microsoft.compute/capacityreservationgroups": PartKind.CAPACITY_RESERVATION_GROUP,
    "microsoft.compute/capacityreservationgroups/capacityreservations": PartKind.CAPACITY_RESERVATION,
}


@dataclass(frozen=True)
class Shared:
    """Something of ours that the Cloud PCs of a policy share.

    Attributes:
        id: ARM id.
        region: Azure region, short name.
        policy_id: By its tag; empty where it has none.

    """

    id: str
    region: str
    policy_id: str


@dataclass(frozen=True)
class GroupResources:
    """What a resource group holds.

    Attributes:
        group_id: Its ARM id.
        parts: What was made for Cloud PCs.
        machines: Every machine by its ARM id in lower case; None for one that is not ours.
        foreign_disks: ARM ids, in lower case, of the disks that are not ours, whatever their names.
        host_pools: The host pools that this product has made.
        application_groups: The application groups that this product has made.

    """

    group_id: str
    parts: Sequence[Part]
    machines: dict[str, Part | None]
    foreign_disks: set[str]
    host_pools: list[Shared]
    application_groups: list[Shared]


async def read_resources(clients: CloudClients, group_id: str) -> GroupResources:
    """Read a resource group's resources; not filtered by a tag, or their tags would not be in the answer.

    Raises:
        HttpResponseError: The group cannot be read.

    Source: https://learn.microsoft.com/rest/api/resources/resources/list-by-resource-group

    """
    items = [item async for item in _listed(clients, group_id)]
    joined = _joined_machines(items)
    made = {item["id"].casefold(): _tagged(item, group_id, joined) for item in items}
    parts = [part for part in made.values() if part]
    computers = {part.computer_name.casefold(): part for part in parts}
    foreign_disks: set[str] = set()
    for item in _of_type(items, "microsoft.compute/disks"):
        id = str(item["id"]).casefold()
        if made[id] is None:
            if disk := _untagged_disk(item, computers):
                parts.append(disk)
            else:
                foreign_disks.add(id)
    return GroupResources(
        group_id=group_id,
        parts=parts,
        machines={
            (id := str(item["id"]).casefold()): made[id]
            for item in _of_type(items, "microsoft.compute/virtualmachines")
        },
        foreign_disks=foreign_disks,
        host_pools=_shared(items, "microsoft.desktopvirtualization/hostpools"),
        application_groups=_shared(items, "microsoft.desktopvirtualization/applicationgroups"),
    )


async def _listed(clients: CloudClients, group_id: str) -> AsyncIterator[Json]:
    params = {"api-version": _RESOURCES_API, "$expand": "createdTime"}
    request: HttpRequest | None = HttpRequest("GET", f"{group_id}/resources", params=params)
    while request:
        response: Any = await clients.resource_groups.get(group_id).compute.send_request(request)
        response.raise_for_status()
        page: Json = response.json()
        for item in page["value"]:
            yield item
        request = HttpRequest("GET", page["nextLink"]) if page.get("nextLink") else None


def _joined_machines(items: Iterable[Json]) -> set[str]:
    """Return the ARM ids, in lower case, of the machines that were to join a domain.

    They are known by their tag, those that were made before there was the tag by the extension that they kept.
    """
    machines = [each for each in items if _tags(each).get(naming.JOIN_TAG) == DomainJoinType.HYBRID_AZURE_AD_JOIN]
    extensions = _of_type(items, "microsoft.compute/virtualmachines/extensions")
    joiners = {parent_id(id) for id in _ids(extensions) if ResourceId.parse(id).name == DOMAIN_JOIN.casefold()}
    return joiners | set(_ids(machines))


def _tagged(item: Json, group_id: str, joined: set[str]) -> Part | None:
    """Return what a resource is of a Cloud PC, by its tags and its name; None for what is not ours."""
    kind, tags = _KINDS.get(str(item["type"]).casefold()), _tags(item)
    if kind is None:
        return None
    # Every reservation has one name; its group has the computer's.
    name = ResourceId.parse(item["id"]).parts[0][1]
    suffix = SUFFIXES.get(PartKind.CAPACITY_RESERVATION_GROUP if kind == PartKind.CAPACITY_RESERVATION else kind, "")
    if (
        tags.get("managedBy") != naming.MANAGED_BY
        or not is_cloud_pc_id(tags.get(naming.CLOUD_PC_TAG, ""))
        or not is_cloud_pc_id(tags.get(naming.POLICY_TAG, ""))
        or not is_guid(tags.get(naming.USER_TAG, ""))
        or not name.endswith(suffix)
    ):
        return None
    return Part(
        kind=kind,
        id=item["id"],
        command=_delete(item["id"]),
        computer_name=name.removesuffix(suffix),
        resource_group_id=group_id,
        cloud_pc_id=tags[naming.CLOUD_PC_TAG],
        policy_id=tags[naming.POLICY_TAG],
        user_id=tags[naming.USER_TAG],
        region=str(item.get("location", "")),
        created=_time(item.get("createdTime")),
        is_domain_joined=item["id"].casefold() in joined,
    )


def _untagged_disk(item: Json, computers: dict[str, Part]) -> Part | None:
    """Return a disk without our tags that was made with a machine of ours, by its name and what it is attached to."""
    if _tags(item).get("managedBy"):
        return None
    name, suffix = ResourceId.parse(item["id"]).name, SUFFIXES[PartKind.DISK]
    computer = computers.get(name.removesuffix(suffix).casefold())
    if computer is None or not name.endswith(suffix):
        return None
    machine_id = naming.virtual_machine_id(computer.resource_group_id, computer.computer_name)
    if not same_id(str(item.get("managedBy") or machine_id), machine_id):
        return None
    return replace(
        computer,
        kind=PartKind.DISK,
        id=item["id"],
        command=_delete(item["id"]),
        created=_time(item.get("createdTime")),
        is_domain_joined=False,
    )


def _shared(items: Iterable[Json], kind: str) -> list[Shared]:
    return [
        Shared(str(item["id"]), str(item["location"]), _tags(item).get(naming.POLICY_TAG, ""))
        for item in _of_type(items, kind)
        if _tags(item).get("managedBy") == naming.MANAGED_BY
    ]


def _of_type(items: Iterable[Json], kind: str) -> list[Json]:
    return [item for item in items if str(item["type"]).casefold() == kind]


def _ids(items: Iterable[Json]) -> list[str]:
    return [str(item["id"]).casefold() for item in items]


def _tags(item: Json) -> dict[str, str]:
    return item.get("tags") or {}


def _delete(id: str) -> str:
    return f"az resource delete --ids {id}"


def _time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
