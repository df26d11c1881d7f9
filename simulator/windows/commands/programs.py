"""The executables of Windows that scripts call; each takes its arguments and returns its output and exit code."""

import uuid
from collections.abc import Sequence

from simulator.windows.errors import NotSimulated
from simulator.windows.guest import MDM_POLICY_KEY, RDAGENT_KEY, RDAGENT_SERVICE, Guest, RegistryValue, Service

PACKAGES = {
    "https://query.prod.cms.rt.microsoft.com/cms/api/am/binary/RWrmXv": "Remote Desktop Services Infrastructure Agent",
    "https://query.prod.cms.rt.microsoft.com/cms/api/am/binary/RWrxrH": "Remote Desktop Agent Boot Loader",
}
"""The installers of the Azure Virtual Desktop agent by where they are downloaded from.

Source: https://learn.microsoft.com/azure/virtual-desktop/add-session-hosts-host-pool
"""

_AGENT, _BOOT_LOADER = PACKAGES.values()
_SUCCESS = 0
_FATAL_INSTALL_ERROR = 1603
_PACKAGE_NOT_OPENED = 1619
_AUTHENTICATION_ERROR = -0x7FE7FFFE
"""MENROLL_E_DEVICE_AUTHENTICATION_ERROR, 0x80180002, as the signed number that an exit code is."""
_ALREADY_ENROLLED = -0x7FE7FFF6
"""MENROLL_E_DEVICE_ALREADY_ENROLLED, 0x8018000A."""
_MDM_NOT_CONFIGURED = -0x7FE7FFCF
"""MENROLL_E_MDM_NOT_CONFIGURED, 0x80180031."""


def _unknown(program: str, arguments: Sequence[str]) -> NotSimulated:
    # Not the arguments' values: one may be a secret.
    options = [argument.partition("=")[0] for argument in arguments]
    return NotSimulated(f"The simulated {program} does not know the arguments {' '.join(options)}.")


def reagentc(guest: Guest, arguments: Sequence[str]) -> tuple[list[str], int]:
    """Show or disable the Windows Recovery Environment: `/info` or `/disable`."""
    match [argument.lower() for argument in arguments]:
        case ["/info"]:
            return [*_recovery_information(guest), "REAGENTC.EXE: Operation Successful."], _SUCCESS
        case ["/disable"]:
            if not guest.recovery_environment_enabled:
                return ["REAGENTC.EXE: Windows RE is already disabled."], 2
            if "recovery-environment" in guest.defects:
                return ["REAGENTC.EXE: Operation failed: 3", "", "REAGENTC.EXE: An error has occurred."], 3
            guest.recovery_environment_enabled = False
            return ["REAGENTC.EXE: Operation Successful."], _SUCCESS
        case _:
            raise _unknown("reagentc.exe", arguments)


def _recovery_information(guest: Guest) -> list[str]:
    enabled = guest.recovery_environment_enabled
    # The words depend on the display language; those here stand for any that is not English.
    status = "Windows RE status:         " + ("Enabled" if enabled else "Disabled")
    if not guest.locale.startswith("en"):
        status = "Windows RE-Status:         " + ("Aktiviert" if enabled else "Deaktiviert")
    recovery = next(partition for partition in guest.disk.partitions if partition.type == "Recovery")
    location = rf"\\?\GLOBALROOT\device\harddisk0\partition{recovery.number}\Recovery\WindowsRE"
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"{guest.vm_id}/winre") if enabled else uuid.UUID(int=0)
    return [
        "Windows Recovery Environment (Windows RE) and system reset configuration",
        "Information:",
        "",
        f"    {status}",
        f"    Windows RE location:       {location if enabled else ''}",
        f"    Boot Configuration Data (BCD) identifier: {identifier}",
        "    Recovery image location:",
        "    Recovery image index:      0",
        "    Custom image location:",
        "    Custom image index:        0",
        "",
    ]


def dsregcmd(guest: Guest, arguments: Sequence[str]) -> tuple[list[str], int]:
    """Show what the machine is joined to: `/status`."""
    if [argument.lower() for argument in arguments] != ["/status"]:
        raise _unknown("dsregcmd.exe", arguments)
    words = {True: "YES", False: "NO"}
    lines = [
        "+----------------------------------------------------------------------+",
        "| Device State                                                         |",
        "+----------------------------------------------------------------------+",
        "",
        f"             AzureAdJoined : {words[guest.entra_joined]}",
        "          EnterpriseJoined : NO",
        f"              DomainJoined : {words[guest.domain is not None]}",
        f"               Device Name : {guest.computer_name}",
        "",
    ]
    if guest.entra_joined:
        lines += [
            f"                  DeviceId : {guest.entra_device_id}",
            f"                  TenantId : {guest.entra_tenant_id}",
        ]
    return lines, _SUCCESS


def deviceenroller(guest: Guest, arguments: Sequence[str]) -> tuple[list[str], int]:
    """Enrol in Intune by the credential of the Entra device, as the policy for automatic enrolment wants it.

    Source of the errors: https://learn.microsoft.com/windows/win32/mdmreg/mdm-registration-constants
    """
    if [argument.lower() for argument in arguments] != ["/c", "/autoenrollmdmusingaaddevicecredential"]:
        raise _unknown("deviceenroller.exe", arguments)
    policy = [guest.registry_value(MDM_POLICY_KEY, name) for name in ("AutoEnrollMDM", "UseAADCredentialType")]
    if guest.mdm_enrolled:
        return [], _ALREADY_ENROLLED
    if policy != [1, 2]:
        return [], _MDM_NOT_CONFIGURED
    if not guest.entra_joined:
        return [], _AUTHENTICATION_ERROR
    guest.mdm_enrollment_requested = True
    return [], _SUCCESS


def msiexec(guest: Guest, arguments: Sequence[str]) -> tuple[list[str], int]:
    """Install a package silently: `/i file.msi /quiet [/norestart]`."""
    options = [argument.lower() for argument in arguments if argument.startswith("/")]
    values = [argument for argument in arguments if not argument.startswith("/")]
    if not {"/i", "/quiet"} <= set(options) <= {"/i", "/quiet", "/norestart"} or len(values) != 1:
        raise _unknown("msiexec.exe", arguments)
    package = PACKAGES.get(guest.files.get(values[0].lower(), ""))
    if package is None:
        return [], _PACKAGE_NOT_OPENED
    if "avd-agent" in guest.defects:
        return [], _FATAL_INSTALL_ERROR
    if package not in guest.software:
        guest.software.append(package)
        if package == _AGENT:
            key = guest.create_registry_key(RDAGENT_KEY)
            key.values["isregistered"] = RegistryValue("IsRegistered", "DWord", 0)
            key.values["registrationtoken"] = RegistryValue("RegistrationToken", "String", "")
        if package == _BOOT_LOADER:
            service = Service(RDAGENT_SERVICE, "Remote Desktop Agent Loader", "Stopped")
            guest.services.append(service)
            guest.start_service(service)
    return [], _SUCCESS
