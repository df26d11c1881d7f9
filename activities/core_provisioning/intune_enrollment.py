"""Step 5: enrolment in Intune by the device's own credential; the Entra join begins it by itself."""

from datetime import UTC, datetime

from cloud.arm.run_commands import GuestScripts, script_text
from cloud.clients import CloudClients
from cloud.errors import not_yet
from cloud.graph.devices import Devices
from contract import steps
from contract.core_provisioning import EnrollInIntuneInput, ManagedDevice
from models.provisioning_policy import DomainJoinType

_NEVER = datetime.min.replace(tzinfo=UTC)
_MANAGED = "managed"
"""`managementState`. Source: https://learn.microsoft.com/graph/api/resources/intune-devices-managementstate"""
_REMEDY = "turn on automatic enrolment into Intune (MDM user scope, Entra ID P1), then reprovision"


class IntuneEnrollment:
    """Waits for Intune by looking again and again, holding no worker slot between looks."""

    def __init__(self, clients: CloudClients) -> None:
        self._devices = Devices(clients)
        self._scripts = GuestScripts(clients)
        self._poll_interval = clients.settings.poll_interval

    @steps.ENROLL_IN_INTUNE.implemented_by
    async def enroll_in_intune(self, request: EnrollInIntuneInput) -> ManagedDevice:
        """Return the managed device of the Entra device.

        A hybrid-joined guest is told to enrol first, since its join does not.

        Raises:
            ApplicationError: `NotYet` until Intune manages it.

        """
        found = await self._devices.managed(request.device_id)
        managed = max(found, key=lambda device: device.enrolled_date_time or _NEVER, default=None)
        if managed is None:
            if request.cloud_pc.domain_join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN:
                script = script_text("activities.core_provisioning", "enroll_by_device_credential.ps1")
                await self._scripts.run(request.cloud_pc, "enroll-in-intune", script, remedy=_REMEDY)
            raise not_yet(f"Intune shows no device of {request.cloud_pc.computer_name}", self._poll_interval, _REMEDY)
        if managed.management_state != _MANAGED:
            raise not_yet(f"the managed device is {managed.management_state}", self._poll_interval, _REMEDY)
        return ManagedDevice(id=managed.id, detail=f"managed device {managed.id}")
