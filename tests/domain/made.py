"""Cloud PCs, and what exists of them, for the decisions in `domain`: no server, no cloud."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings

from domain import naming
from domain.audit import Fleet, Inventory, Part
from models.audit import PartKind
from models.cloud_pc import CloudPc, CloudPcStatus, Stage, StepStatus, User
from models.remote_actions import ActionState, RemoteActionResult

PROPERTY = settings(derandomize=True, database=None, deadline=None)
"""Of every property test here: the same examples every time."""
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(minutes=1), NOW - timedelta(minutes=1)
GROUP = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-Cloud-PCs"
ADA = User(
    id="aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", user_principal_name="ada@contoso.com", display_name="Ada Lovelace"
)
BOB = User(id="bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb", user_principal_name="bob@contoso.com", display_name="Bob")


def cloud_pc(**changes: Any) -> CloudPc:
    """Ada's Cloud PC of the policy `engineering`, which is provisioned and lacks nothing."""
    fields: dict[str, Any] = {
        "id": f"engineering-{ADA.id}",
        "status": CloudPcStatus.PROVISIONED,
        "attempt": 1,
        "reason": "",
        "policy_id": "engineering",
        "policy_display_name": "Engineering",
        "service_plan": "CPC_E_2C_8GB_128GB",
        "user": ADA,
        "computer_name": "CPC-ada-00001",
        "region": "westeurope",
        "join_type": "azureADJoin",
        "virtual_machine_id": naming.virtual_machine_id(GROUP, "CPC-ada-00001"),
        "entra_device_id": "device-ada",
        "managed_device_id": "managed-ada",
        "host_pool": "hp-engineering-westeurope",
        "session_host": "CPC-ada-00001",
        "steps": (),
    }
    return CloudPc.model_validate(fields | changes)


def step(**changes: Any) -> StepStatus:
    """A step of a Cloud PC."""
    fields: dict[str, Any] = {"step": "join", "stage": Stage.CORE_PROVISIONING, "display_name": "Join"}
    return StepStatus.model_validate(fields | changes)


def action(state: ActionState) -> RemoteActionResult:
    """An action that was asked of a Cloud PC."""
    return RemoteActionResult(
        id=1, action_name="restart", action_state=state, start_date_time=NOW, last_updated_date_time=NOW
    )


def fleet(*cloud_pcs: CloudPc, silent: dict[str, str] | None = None) -> Fleet:
    """These Cloud PCs, and the computer names of those that do not answer, by their id."""
    return Fleet(cloud_pcs=cloud_pcs, silent=silent or {}, since=NOW)


def part(kind: PartKind = PartKind.VIRTUAL_MACHINE, **changes: Any) -> Part:
    """Something of a computer that nobody knows, and old."""
    fields: dict[str, Any] = {
        "kind": kind,
        "id": f"{GROUP}/{kind}",
        "command": "az …",
        "computer_name": "CPC-old-00001",
        "resource_group_id": GROUP,
        "region": "westeurope",
        "created": NOW - timedelta(days=1),
    }
    return Part(**fields | changes)


def right(**changes: Any) -> Part:
    """Ada's right at the desktops of `engineering`, which is no machine's."""
    fields: dict[str, Any] = {
        "computer_name": "",
        "resource_group_id": "",
        "policy_id": "engineering",
        "user_id": ADA.id,
        "region": "westeurope",
    }
    return part(PartKind.ROLE_ASSIGNMENT, **fields | changes)


def inventory(pc: CloudPc) -> Inventory:
    """Everything that a Cloud PC should have."""
    group = GROUP.casefold()
    machine = (pc.virtual_machine_id or "").upper()
    made = Inventory(
        groups={group},
        assigned_users={
            f"{group}/providers/microsoft.desktopvirtualization/hostpools/{pc.host_pool}/sessionhosts/"
            f"{pc.session_host}".casefold(): pc.user.user_principal_name.upper()
        },
        primary_users={pc.id: pc.user.id},
        managed={pc.id},
        device_ids={pc.entra_device_id or ""},
        roles={
            (
                f"{group}/providers/microsoft.desktopvirtualization/applicationgroups/ag-{pc.policy_id}-{pc.region}",
                pc.user.id,
            ),
            (machine.casefold(), pc.user.id),
        },
    )
    for kind, id in (
        (PartKind.VIRTUAL_MACHINE, machine),
        (PartKind.NETWORK_INTERFACE, naming.network_interface_id(GROUP, pc.computer_name)),
        (PartKind.DISK, naming.os_disk_id(GROUP, pc.computer_name)),
    ):
        made.parts.append(part(kind, id=id, computer_name=pc.computer_name))
    return made
