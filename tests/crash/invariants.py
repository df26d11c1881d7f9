"""What must hold when everything has come to rest; the cloud says so, not the product's own records."""

from collections import Counter
from collections.abc import Iterable, Iterator

from cloud.arm.role_assignments import (
    DESKTOP_VIRTUALIZATION_USER,
    VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN,
    VIRTUAL_MACHINE_USER_LOGIN,
)
from contract import steps
from models.cloud_pc import CloudPc, CloudPcStatus
from models.provisioning_policy import DomainJoinType, UserAccountType
from simulator.cloud import Cloud
from simulator.fault_plan import FOREIGN_GROUP

PROVISIONED = (CloudPcStatus.PROVISIONED, CloudPcStatus.PROVISIONED_WITH_WARNINGS)
_NAMED_AFTER_THE_COMPUTER = {
    "Microsoft.Compute/virtualMachines": "{}",
    "Microsoft.Network/networkInterfaces": "{}-nic",
    "Microsoft.Compute/disks": "{}-osdisk",
}
_TEMPORARY = (
    "Microsoft.Compute/capacityReservationGroups",
    "Microsoft.Compute/capacityReservationGroups/capacityReservations",
)


def broken(cloud: Cloud, cloud_pcs: Iterable[tuple[CloudPc, UserAccountType]]) -> Iterator[str]:
    """Yield each invariant that does not hold, in a line.

    Args:
        cloud: What exists and what was done.
        cloud_pcs: What is known of each Cloud PC, those that are gone included, with what its user was to be.

    """
    living = [(pc, account) for pc, account in cloud_pcs if pc.status in PROVISIONED]
    names = [pc.computer_name for pc, _ in living]
    inventory = cloud.resources.inventory()
    for kind, pattern in _NAMED_AFTER_THE_COMPUTER.items():
        found = [id.rpartition("/")[2] for id in inventory.get(kind, [])]
        yield from _differ(kind, found, [pattern.format(name) for name in names])
    for kind in _TEMPORARY:
        yield from _differ(kind, inventory.get(kind, []), [])
    yield from _devices(cloud, living)
    yield from _differ(
        "session hosts",
        [
            (host.properties["resourceId"].rpartition("/")[2], host.properties.get("assignedUser"))
            for host in cloud.resources.list("Microsoft.DesktopVirtualization/hostPools/sessionHosts")
        ],
        [(pc.computer_name, pc.user.user_principal_name) for pc, _ in living],
    )
    yield from _differ("role assignments", _role_assignments(cloud), _wanted_roles(living))
    hybrid = {pc.computer_name for pc, _ in living if pc.join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN}
    # Those of Cloud PCs that are gone are left to the domain.
    if missing := hybrid - {computer.name for computer in cloud.active_directory.computers.values()}:
        yield f"computer accounts: missing {sorted(missing)}"
    yield from _differ(
        "join extensions",
        [id for id in inventory.get("Microsoft.Compute/virtualMachines/extensions", []) if "Domain" in id],
        [],
    )
    for entry in cloud.ledger.entries:
        if entry.overlaps is not None:
            yield f"{entry.method} {entry.path} began while the operation of request {entry.overlaps} was alive"
    for pc, _ in living:
        if any(warning.step == steps.REMOVE_RUN_COMMANDS.name for warning in pc.warnings):
            continue
        left = [
            id for id in inventory.get("Microsoft.Compute/virtualMachines/runCommands", []) if pc.computer_name in id
        ]
        yield from _differ("run commands", left, [])


def _devices(cloud: Cloud, living: list[tuple[CloudPc, UserAccountType]]) -> Iterator[str]:
    ours = [device["displayName"] for device in cloud.directory.devices.values() if _is_ours(device)]
    yield from _differ("Entra devices", ours, [pc.computer_name for pc, _ in living])
    wanted = [(pc.entra_device_id, pc.user.id) for pc, _ in living]
    found = [
        (managed["azureADDeviceId"], cloud.directory.primary_users.get(id))
        for id, managed in cloud.directory.managed_devices.items()
    ]
    yield from _differ("managed devices with their primary users", found, wanted)


def _is_ours(device: dict[str, object]) -> bool:
    """Tell a device that the product caused from one of Entra Connect or that the fault plan put in the way."""
    physical_ids = device["physicalIds"]
    assert isinstance(physical_ids, list)
    if device["trustType"] == "ServerAd":
        return bool(device["alternativeSecurityIds"])
    return not any(FOREIGN_GROUP in id for id in physical_ids)


def _role_assignments(cloud: Cloud) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for assignment in cloud.resources.list("Microsoft.Authorization/roleAssignments"):
        scope = assignment.id.partition("/providers/Microsoft.Authorization")[0]
        properties = assignment.properties
        role = properties["roleDefinitionId"].rpartition("/")[2]
        found.append((scope.rpartition("/")[2].casefold(), role, properties["principalId"]))
    return found


def _wanted_roles(living: list[tuple[CloudPc, UserAccountType]]) -> list[tuple[str, str, str]]:
    wanted: list[tuple[str, str, str]] = []
    for pc, account in living:
        group = (pc.host_pool or "").replace("hp-", "ag-", 1).casefold()
        wanted.append((group, DESKTOP_VIRTUALIZATION_USER, pc.user.id))
        if pc.join_type == DomainJoinType.AZURE_AD_JOIN:
            is_administrator = account == UserAccountType.ADMINISTRATOR
            login = VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN if is_administrator else VIRTUAL_MACHINE_USER_LOGIN
            wanted.append((pc.computer_name.casefold(), login, pc.user.id))
    return wanted


def _differ(what: str, found: Iterable[object], wanted: Iterable[object]) -> Iterator[str]:
    has, needs = Counter(found), Counter(wanted)
    if has != needs:
        too_many, missing = sorted(map(str, (has - needs).elements())), sorted(map(str, (needs - has).elements()))
        yield f"{what}: too many {too_many}, missing {missing}"
