"""Virtual machines that exist: whose they are, and restarting them."""

from typing import Any

from azure.core.polling import AsyncLROPoller

from cloud.arm.operations import complete, found, is_owned
from cloud.clients import CloudClients
from domain import naming
from models.cloud_pc import CloudPcReference


class VirtualMachines:
    """Works on the machines of Cloud PCs, which are known by name and tag."""

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._poll_interval = clients.settings.poll_interval

    def id_of(self, cloud_pc: CloudPcReference) -> str:
        """Return the ARM id that the Cloud PC's machine has or would have."""
        return naming.virtual_machine_id(self._groups.get(cloud_pc.resource_group_id).id, cloud_pc.computer_name)

    async def is_somebody_elses(self, cloud_pc: CloudPcReference) -> bool:
        """Tell whether a machine of this name was made for somebody else: then nothing by that name is ours."""
        group = self._groups.get(cloud_pc.resource_group_id)
        machine: Any = await found(group.compute.virtual_machines.get(group.name, cloud_pc.computer_name))
        return machine is not None and not is_owned(machine, cloud_pc.cloud_pc_id)

    async def restart(self, cloud_pc: CloudPcReference) -> None:
        """Restart the machine and wait until it has started again.

        Raises:
            HttpResponseError: Azure refuses, or there is no such machine.

        Source: https://learn.microsoft.com/rest/api/compute/virtual-machines/restart

        """
        group = self._groups.get(cloud_pc.resource_group_id)
        machines: Any = group.compute.virtual_machines
        ids = (group.name, cloud_pc.computer_name)

        async def begin() -> AsyncLROPoller[None]:
            return await machines.begin_restart(*ids)

        async def resume(token: str) -> AsyncLROPoller[None]:
            return await machines.begin_restart(*ids, continuation_token=token)

        # After a crash between request and heartbeat it is restarted a second time, seconds after the first.
        await complete(f"restart {'/'.join(ids)}", resume=resume, begin=begin, poll_interval=self._poll_interval)
