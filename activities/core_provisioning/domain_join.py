"""Step 4 of a hybrid join: the domain, then the computer object that the synchronisation brings into Entra ID."""

from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import HttpResponseError
from temporalio import activity

from cloud.arm.extensions import DOMAIN_JOIN, instance_view_of, words_and_errors
from cloud.arm.operations import Operations, ensure, remove
from cloud.arm.virtual_machines import VirtualMachines
from cloud.clients import CloudClients
from cloud.errors import arm_code, arm_message, failure, not_yet
from cloud.graph.devices import Devices
from contract import steps
from contract.activity import CloudPcInput, StepResult
from contract.core_provisioning import EntraDevice, JoinDomainInput
from models.azure_network_connection import ActiveDirectoryDomain
from models.cloud_pc import CloudPcReference

_JOIN_AND_CREATE_ACCOUNT = "3"
"""Flags of NetJoinDomain: 1 join, 2 create the account.

Source: https://learn.microsoft.com/windows/win32/api/lmjoin/nf-lmjoin-netjoindomain
"""
_ATTEMPTS = 3
"""After so many attempts a domain that cannot be reached counts as not there."""
_ALREADY_JOINED = 2691
_CODES = {
    2: "adJoinCheckOrganizationalUnitNotFound",
    5: "adJoinCheckAccessDenied",
    53: "adJoinCheckServerNotOperational",
    87: "adJoinCheckOrganizationalUnitIncorrectFormat",
    1326: "adJoinCheckIncorrectCredentials",
    1330: "adJoinCheckCredentialsExpired",
    1331: "adJoinCheckAccountLockedOrDisabled",
    1355: "adJoinCheckFqdnNotFound",
    1722: "adJoinCheckServerNotOperational",
    1907: "adJoinCheckCredentialsExpired",
    1909: "adJoinCheckAccountLockedOrDisabled",
    2224: "adJoinCheckComputerObjectAlreadyExists",
    2732: "adJoinCheckComputerObjectAlreadyExists",
    8557: "adJoinCheckAccountQuotaExceeded",
}
"""Graph's names of the Win32 errors by which a join fails.

Source: https://learn.microsoft.com/windows/win32/debug/system-error-codes
"""
_RETRIED = frozenset({53, 1355, 1722})
"""Errors of finding the domain, which may pass. Anything else is not tried again: it could lock the account out."""
_DONE_ALL_THE_SAME = "join completed for domain"
_HAS_TRIED = "while joining domain"
"""What the extension says once it has tried to join, whatever came of it; not all versions give the number.

Source: https://github.com/Azure/RDS-Templates/issues/434
"""
_JOIN_FAILURES = frozenset({"VMExtensionProvisioningError", "VMExtensionHandlerNonTransientError"})
_LOOK_EVERY = 4
"""Poll intervals between two looks: the synchronisation comes every 30 minutes."""


class DomainJoin:
    """Joins machines to a domain and waits until Entra ID knows them.

    Sources: https://learn.microsoft.com/azure/active-directory-domain-services/join-windows-vm-template and
    https://learn.microsoft.com/entra/identity/devices/device-registration-how-it-works
    """

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._secrets = clients.secrets
        self._devices = Devices(clients)
        self._machines = VirtualMachines(clients)
        self._poll_interval = clients.settings.poll_interval

    @steps.JOIN_DOMAIN.implemented_by
    async def join_domain(self, request: JoinDomainInput) -> StepResult:
        """Join the machine to the domain.

        A join that failed is not tried again where trying could lock the join account out.

        Raises:
            ApplicationError: `adJoinCheck…`, as Graph names what went wrong, or a code of the secret.

        """
        cloud_pc, domain = request.cloud_pc, request.domain
        group = self._groups.get(cloud_pc.resource_group_id)
        extensions = group.compute.virtual_machine_extensions
        ids = (group.name, cloud_pc.computer_name, DOMAIN_JOIN)
        if await self._has_joined_in_spite_of(extensions, ids, domain, may_retry=True):
            return StepResult(detail=f"joined {domain.name}")
        body = _body(cloud_pc, domain, await self._secrets.password_of(domain))
        try:
            await ensure(extensions, ids, lambda: body, poll_interval=self._poll_interval, replace_failed=True)
        except HttpResponseError as error:
            may_retry = activity.info().attempt < _ATTEMPTS
            if arm_code(error) not in _JOIN_FAILURES or not await self._has_joined_in_spite_of(
                extensions, ids, domain, may_retry=may_retry, said=arm_message(error)
            ):
                raise
        return StepResult(detail=f"joined {domain.name}")

    async def _has_joined_in_spite_of(
        self,
        extensions: Operations,
        ids: tuple[str, ...],
        domain: ActiveDirectoryDomain,
        *,
        may_retry: bool,
        said: str = "",
    ) -> bool:
        """Read why the extension has failed, if it has.

        Args:
            extensions: The operations of extensions.
            ids: Resource group and names of the extension.
            domain: What was to be joined.
            may_retry: Whether a domain that could not be found may be looked for again.
            said: What Azure said of the failure, which the instance view need not repeat.

        Returns:
            Whether the machine is in the domain all the same; False also where nothing has failed for good.

        Raises:
            ApplicationError: Why the join has failed for good.

        """
        extension = await instance_view_of(extensions, ids)
        if extension is None or extension.properties.provisioning_state not in ("Failed", "Canceled"):
            return False
        words, numbers = words_and_errors(extension)
        words = words or said
        if _DONE_ALL_THE_SAME in words.lower() or _ALREADY_JOINED in numbers:
            return True
        if not numbers and _HAS_TRIED not in f"{words} {said}".lower():
            # It has not come to a join, so none was refused: Azure gave up before.
            return False
        # One refusal among them counts: the handler tries in more than one way.
        refusals = [number for number in numbers if number not in _RETRIED]
        if numbers and not refusals and may_retry:
            return False
        number = next((number for number in refusals or numbers if number in _CODES), None)
        code = _CODES[number] if number else "adJoinCheckUnknownError"
        raise failure(code, f"joining {domain.name} as {domain.username} failed: {words}")

    @steps.WAIT_FOR_ENTRA_DEVICE.implemented_by
    async def wait_for_entra_device(self, request: CloudPcInput) -> EntraDevice:
        """Return the computer's device, once Entra ID knows it and it is registered.

        Raises:
            ApplicationError: `NotYet` until then.

        """
        name = request.cloud_pc.computer_name
        found = [device for device in await self._devices.named(name) if Devices.is_synchronized(device)]
        for device in found:
            if not Devices.is_pending(device):
                return EntraDevice(device_id=device.device_id or "", detail=f"device {device.device_id}")
        elapsed = datetime.now(UTC) - activity.info().scheduled_time
        state = "is pending in Entra ID, not registered" if found else "has not appeared in Entra ID"
        raise not_yet(
            f"{name} {state} after {elapsed.total_seconds() / 60:.0f} min",
            _LOOK_EVERY * self._poll_interval,
            "see that Entra Connect synchronises the organizational unit and that the service connection point is "
            "configured in the forest, then reprovision",
        )

    @steps.REMOVE_DOMAIN_JOIN_EXTENSION.implemented_by
    async def remove_domain_join_extension(self, request: CloudPcInput) -> StepResult:
        """Remove the extension from the machine, and with it the password; the machine stays in the domain.

        Raises:
            ApplicationError: `NotYet` while Azure still shows it.

        Source, for a machine that stayed joined: https://github.com/Azure/azure-powershell/issues/1316

        """
        cloud_pc = request.cloud_pc
        group = self._groups.get(cloud_pc.resource_group_id)
        extensions = group.compute.virtual_machine_extensions
        ids = (group.name, cloud_pc.computer_name, DOMAIN_JOIN)
        if await self._machines.is_somebody_elses(cloud_pc):
            raise failure("NameTaken", f"{cloud_pc.computer_name} belongs to somebody else")
        await remove(extensions, ids, poll_interval=self._poll_interval, owner=None)
        if await instance_view_of(extensions, ids):
            raise not_yet(f"{cloud_pc.computer_name} still has {DOMAIN_JOIN}", self._poll_interval)
        return StepResult(detail=f"{DOMAIN_JOIN} and the join account's password are off the machine")


def _body(cloud_pc: CloudPcReference, domain: ActiveDirectoryDomain, password: str) -> dict[str, Any]:
    return {
        "location": cloud_pc.region,
        "properties": {
            "publisher": "Microsoft.Compute",
            "type": DOMAIN_JOIN,
            "typeHandlerVersion": "1.3",
            "autoUpgradeMinorVersion": True,
            "settings": {
                "Name": domain.name,
                "User": domain.username,
                "Restart": "true",
                "Options": _JOIN_AND_CREATE_ACCOUNT,
                **({"OUPath": domain.organizational_unit} if domain.organizational_unit else {}),
            },
            "protectedSettings": {"Password": password},
        },
    }
