"""Step 2: the virtual machine."""

import secrets
import string
from typing import Any

from azure.core.exceptions import HttpResponseError

from cloud.arm.images import Images, image_reference
from cloud.arm.networks import NetworkInterfaces
from cloud.arm.operations import ensure, remove
from cloud.clients import CloudClients
from cloud.errors import arm_code, is_about_capacity, not_yet
from cloud.execution.context import confide
from contract import steps
from contract.core_provisioning import CreateVirtualMachineInput, VirtualMachine
from domain import naming

ADMIN_USERNAME = "cloudpcadmin"
"""Local account that Azure insists on; nobody keeps its password."""


class VirtualMachineCreation:
    """Creates virtual machines.

    Source: https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._images = Images(clients)
        self._interfaces = NetworkInterfaces(clients)
        self._poll_interval = clients.settings.poll_interval

    @steps.CREATE_VIRTUAL_MACHINE.implemented_by
    async def create_virtual_machine(self, request: CreateVirtualMachineInput) -> VirtualMachine:
        """Return the Cloud PC's machine; create it when it does not exist.

        A machine whose creation failed is deleted, and created again by the next attempt.

        Raises:
            ApplicationError: `sourceImage…`, when the image cannot become a Cloud PC.
            HttpResponseError: Azure refuses; where it has no capacity nothing of the machine is left.

        """
        cloud_pc, name = request.cloud_pc, request.cloud_pc.computer_name
        group = self._groups.get(cloud_pc.resource_group_id)
        trusted_launch = await self._images.check(request.image, cloud_pc.region, request.service_plan.storage_in_gb)
        # It exists, unless a failed machine took it along when it was deleted.
        interface = await self._interfaces.ensure(cloud_pc, request.subnet_id)
        machines, ids = group.compute.virtual_machines, (group.name, name)
        try:
            machine = await ensure(
                machines,
                ids,
                lambda: _body(request, interface.id, trusted_launch=trusted_launch),
                poll_interval=self._poll_interval,
                replace_failed=True,
                owner=cloud_pc.cloud_pc_id,
            )
        except HttpResponseError as error:
            if arm_code(error) == "InvalidResourceReference" and interface.id.casefold() in error.message.casefold():
                # A failed machine was still being deleted when they were looked at, and took its interface along.
                raise not_yet(f"the network interface of {name} is gone", self._poll_interval) from error
            if is_about_capacity(error):
                # Another size or zone is tried next, under the same name.
                await remove(machines, ids, poll_interval=self._poll_interval, owner=cloud_pc.cloud_pc_id)
            raise
        return VirtualMachine(
            id=machine.id,
            private_ip_address=interface.private_ip_address,
            detail=f"{name}, {request.vm_size}, {request.service_plan.storage_in_gb} GiB",
        )


def _body(request: CreateVirtualMachineInput, network_interface_id: str, *, trusted_launch: bool) -> dict[str, Any]:
    cloud_pc, reservation = request.cloud_pc, request.capacity_reservation_group_id
    return {
        "location": cloud_pc.region,
        "tags": {**naming.tags(cloud_pc), naming.JOIN_TAG: cloud_pc.domain_join_type},
        **({"zones": [request.zone]} if request.zone else {}),
        # The Entra join extension signs in with it.
        "identity": {"type": "SystemAssigned"},
        "properties": {
            **({"capacityReservation": {"capacityReservationGroup": {"id": reservation}}} if reservation else {}),
            "hardwareProfile": {"vmSize": request.vm_size},
            "licenseType": "Windows_Client",
            "securityProfile": {
                "securityType": "TrustedLaunch",
                "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
            }
            if trusted_launch
            else {"securityType": "Standard"},
            "storageProfile": {
                "imageReference": image_reference(request.image),
                "osDisk": {
                    "name": naming.os_disk_name(cloud_pc.computer_name),
                    "createOption": "FromImage",
                    "deleteOption": "Delete",
                    "diskSizeGB": request.service_plan.storage_in_gb,
                    "managedDisk": {"storageAccountType": "Premium_LRS"},
                },
            },
            "osProfile": {
                "computerName": cloud_pc.computer_name,
                "adminUsername": ADMIN_USERNAME,
                "adminPassword": _throwaway_password(),
                "windowsConfiguration": {
                    "provisionVMAgent": True,
                    "enableAutomaticUpdates": True,
                    "patchSettings": {"patchMode": "AutomaticByOS"},
                },
            },
            "networkProfile": {
                "networkInterfaces": [
                    {"id": network_interface_id, "properties": {"primary": True, "deleteOption": "Delete"}}
                ]
            },
            "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
        },
    }


def _throwaway_password() -> str:
    """Return a password that Azure's rules accept and that is forgotten with the request."""
    alphabet = string.ascii_letters + string.digits + "-!#"
    return confide("aA1-" + "".join(secrets.choice(alphabet) for _ in range(36)))
