"""Step 2: the virtual machine."""

import secrets
import string
from typing import Any

from temporalio import activity

from activities import naming
from activities.core_provisioning.network import NetworkInterfaces
from activities.long_running import ensure
from activities.signatures import CreateVirtualMachineInput, VirtualMachine
from cloud.clients import CloudClients

ADMIN_USERNAME = "cloudpcadmin"
"""Local account that Azure insists on; nobody keeps its password."""


class VirtualMachines:
    """Creates virtual machines.

    Source: https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update
    """

    def __init__(self, clients: CloudClients) -> None:
        self._machines = clients.compute.virtual_machines
        self._interfaces = NetworkInterfaces(clients)
        self._group = clients.settings.resource_group
        self._poll_interval = clients.settings.poll_interval

    @activity.defn
    async def create_virtual_machine(self, request: CreateVirtualMachineInput) -> VirtualMachine:
        """Return the Cloud PC's machine; create it when it does not exist.

        A machine whose creation failed is deleted, and created anew by the next attempt.
        """
        name = request.cloud_pc.computer_name
        # It exists, unless a failed machine took it along when it was deleted.
        interface = await self._interfaces.ensure(request.cloud_pc, request.subnet_id)
        machine = await ensure(
            self._machines,
            (self._group, name),
            lambda: _body(request, interface.id),
            poll_interval=self._poll_interval,
            replace_failed=True,
            owner=request.cloud_pc.cloud_pc_id,
        )
        return VirtualMachine(
            id=machine.id,
            private_ip_address=interface.private_ip_address,
            detail=f"{name}, {request.vm_size}, {request.service_plan.storage_in_gb} GiB",
        )


def _body(request: CreateVirtualMachineInput, network_interface_id: str) -> dict[str, Any]:
    cloud_pc, image = request.cloud_pc, request.image
    return {
        "location": cloud_pc.region,
        "tags": naming.tags(cloud_pc),
        **({"zones": [request.zone]} if request.zone else {}),
        # The Entra join extension signs in with it.
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "hardwareProfile": {"vmSize": request.vm_size},
            "licenseType": "Windows_Client",
            "securityProfile": {
                "securityType": "TrustedLaunch",
                "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
            },
            "storageProfile": {
                "imageReference": {
                    "publisher": image.publisher,
                    "offer": image.offer,
                    "sku": image.sku,
                    "version": "latest",
                },
                "osDisk": {
                    "name": naming.os_disk_name(cloud_pc),
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
    return "aA1-" + "".join(secrets.choice(alphabet) for _ in range(36))
