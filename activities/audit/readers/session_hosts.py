"""The session hosts of the host pools that this product has made."""

from collections.abc import Iterable
from typing import Any

from activities.audit.readers.machines import Machines
from activities.audit.readers.resources import Shared
from cloud.clients import CloudClients
from domain.audit import Inventory
from models.audit import PartKind
from models.types import ResourceId

_SESSION_HOSTS_API = "2024-04-03"
"""api-version in the command that removes a session host."""


async def read_session_hosts(clients: CloudClients, pools: Iterable[Shared], machines: Machines) -> Inventory:
    """Read session hosts and whom they are assigned to.

    Raises:
        HttpResponseError: A pool cannot be read.

    """
    inventory = Inventory()
    hosts = clients.desktop_virtualization.session_hosts
    for pool in pools:
        id = ResourceId.parse(pool.id)
        async for found in hosts.list(id.resource_group, id.name):
            host: Any = found
            inventory.assigned_users[host.id.casefold()] = host.assigned_user or ""
            created = host.system_data.created_at if host.system_data else None
            part = machines.part_of(
                host.resource_id or "",
                kind=PartKind.SESSION_HOST,
                id=host.id,
                command=f'az rest --method DELETE --url "{host.id}?api-version={_SESSION_HOSTS_API}&force=true"',
                created=created or host.last_update_time,
                policy_id=pool.policy_id,
                region=pool.region,
            )
            inventory.parts += [part] if part else []
    return inventory
