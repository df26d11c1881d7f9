"""Step 4 of a hybrid join: the domain, then the computer object that the synchronisation brings into Entra ID."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from temporalio import activity

from activities.devices import Devices
from activities.errors import arm_code, failure, not_yet
from activities.long_running import Operations, ensure
from activities.post_provisioning.run_guest_script import GuestScripts, script_text
from activities.secrets import read_secret
from activities.signatures import CloudPcReference, EntraDevice, JoinDomainInput, StepResult, WaitForEntraDeviceInput
from cloud.clients import CloudClients
from models.azure_network_connection import ActiveDirectoryDomain

EXTENSION = "JsonADDomainExtension"
"""Type, and name on the VM, of the extension that joins."""
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
_REFUSED = frozenset({1326, 1330, 1331, 1907, 1909})
"""Errors by which the domain does not let the join account in."""
_NUMBER = re.compile(r"error\s*code\D{0,4}(\d+)", re.IGNORECASE)
_DONE_ALL_THE_SAME = "join completed for domain"
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
        self._poll_interval = clients.settings.poll_interval

    @activity.defn
    async def join_domain(self, request: JoinDomainInput) -> StepResult:
        """Join the machine to the domain.

        A join that failed is not tried again where trying could lock the join account out.

        Raises:
            ApplicationError: `adJoinCheck…`, as Graph names what went wrong, or a code of the secret.

        """
        cloud_pc, domain = request.cloud_pc, request.domain
        group = self._groups.get(cloud_pc.resource_group_id)
        extensions = group.compute.virtual_machine_extensions
        ids = (group.name, cloud_pc.computer_name, EXTENSION)
        if await self._has_joined_in_spite_of(extensions, ids, domain, may_retry=True):
            return StepResult(detail=f"joined {domain.name}")
        body = _body(cloud_pc, domain, await read_secret(self._secrets, domain.password))
        try:
            await ensure(extensions, ids, lambda: body, poll_interval=self._poll_interval, replace_failed=True)
        except HttpResponseError as error:
            may_retry = activity.info().attempt < _ATTEMPTS
            if arm_code(error) not in _JOIN_FAILURES or not await self._has_joined_in_spite_of(
                extensions, ids, domain, may_retry=may_retry
            ):
                raise
        return StepResult(detail=f"joined {domain.name}")

    async def _has_joined_in_spite_of(
        self, extensions: Operations, ids: tuple[str, ...], domain: ActiveDirectoryDomain, *, may_retry: bool
    ) -> bool:
        """Read why the extension has failed, if it has.

        Args:
            extensions: The operations of extensions.
            ids: Resource group and names of the extension.
            domain: What was to be joined.
            may_retry: Whether a domain that could not be found may be looked for again.

        Returns:
            Whether the machine is in the domain all the same; False also where nothing has failed for good.

        Raises:
            ApplicationError: Why the join has failed for good.

        """
        extension = await _found(extensions, ids)
        if extension is None or extension.properties.provisioning_state != "Failed":
            return False
        words, numbers = _words_and_numbers(extension)
        if _DONE_ALL_THE_SAME in words.lower() or _ALREADY_JOINED in numbers:
            return True
        if not numbers:
            # It has not come to a join, so none was refused: Azure gave up before.
            return False
        number = next((number for number in numbers if number in _CODES), None)
        code = _CODES[number] if number else "adJoinCheckUnknownError"
        message = f"joining {domain.name} as {domain.username} failed: {words or 'the guest says nothing'}"
        if number in _RETRIED and may_retry:
            return False
        raise failure(code, message)

    @activity.defn
    async def wait_for_entra_device(self, request: WaitForEntraDeviceInput) -> EntraDevice:
        """Return the computer's device, once Entra ID knows it and it is registered.

        Raises:
            ApplicationError: `NotYet` until then.

        """
        name = request.cloud_pc.computer_name
        found = [device for device in await self._devices.named(name) if Devices.is_synchronised(device)]
        for device in found:
            if device.alternative_security_ids:
                return EntraDevice(device_id=device.device_id or "", detail=f"device {device.device_id}")
        elapsed = datetime.now(UTC) - activity.info().scheduled_time
        state = "is pending in Entra ID, not registered" if found else "has not appeared in Entra ID"
        raise not_yet(
            f"{name} {state} after {elapsed.total_seconds() / 60:.0f} min",
            _LOOK_EVERY * self._poll_interval,
            "see that Entra Connect synchronises the organizational unit and that the service connection point is "
            "configured in the forest, then reprovision",
        )


class ComputerAccounts:
    """Removes the accounts of machines from their domain, by a script in the machine."""

    def __init__(self, clients: CloudClients) -> None:
        self._groups = clients.resource_groups
        self._secrets = clients.secrets
        self._scripts = GuestScripts(clients)
        self._poll_interval = clients.settings.poll_interval

    async def remove(self, cloud_pc: CloudPcReference, domain: ActiveDirectoryDomain) -> str:
        """Remove the machine's account and return what came of it; one that is not there is removed already.

        Raises:
            ApplicationError: `NotYet` while it is still joining, `GuestScriptFailed`, or a code of the secret.

        """
        group = self._groups.get(cloud_pc.resource_group_id)
        extensions, ids = group.compute.virtual_machine_extensions, (group.name, cloud_pc.computer_name, EXTENSION)
        extension = await _found(extensions, ids)
        if extension is None:
            return "the machine never asked to join, or is gone"
        if extension.properties.provisioning_state not in ("Succeeded", "Failed", "Canceled"):
            # It would make the account after it was looked for.
            raise not_yet(f"{cloud_pc.computer_name} is still joining {domain.name}", self._poll_interval)
        _, numbers = _words_and_numbers(extension)
        if extension.properties.provisioning_state == "Failed" and _REFUSED.intersection(numbers):
            # Signing in with it once more could lock it out.
            return f"{domain.name} refused the join account, so there is no account to remove"
        return await self._scripts.run(
            cloud_pc,
            "remove-computer-account",
            script_text("activities.core_provisioning", "remove_computer_account.ps1"),
            parameters={"DomainName": domain.name, "UserName": domain.username},
            secrets={"Password": await read_secret(self._secrets, domain.password)},
            remedy=f"delete the computer account {cloud_pc.computer_name} from {domain.name}",
        )


def _body(cloud_pc: CloudPcReference, domain: ActiveDirectoryDomain, password: str) -> dict[str, Any]:
    return {
        "location": cloud_pc.region,
        "properties": {
            "publisher": "Microsoft.Compute",
            "type": EXTENSION,
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


async def _found(extensions: Operations, ids: tuple[str, ...]) -> Any:
    try:
        return await extensions.get(*ids, expand="instanceView")
    except ResourceNotFoundError:
        return None


def _words_and_numbers(extension: Any) -> tuple[str, list[int]]:
    """Return what the extension says in its instance view, and the Win32 errors therein."""
    words = " ".join(_words(extension.properties.instance_view))
    return words, [int(number) for number in _NUMBER.findall(words)]


def _words(view: Any) -> Iterator[str]:
    """Yield what the statuses of an instance view say."""
    if view is None:
        return
    statuses: list[Any] = [*(view.statuses or []), *(view.substatuses or [])]
    for status in statuses:
        yield f"{status.code or ''} {status.message or ''}".strip()
