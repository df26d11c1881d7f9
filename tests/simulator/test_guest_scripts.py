"""The PowerShell scripts of the product, run on simulated guests: end state, second run, and every defect."""

import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from simulator.windows.commands import processes
from simulator.windows.guest import (
    DEFECTS,
    GIB,
    LANGUAGE_SETTINGS,
    MDM_POLICY_KEY,
    MIB,
    RDAGENT_KEY,
    Guest,
    Partition,
    RegistryValue,
)
from simulator.windows.interpreter import Interpreter
from simulator.windows.powershell import ScriptResult, run_script

ACTIVITIES = Path(__file__).parents[2] / "activities"
SCRIPTS = {
    path.stem: path
    for folder in (ACTIVITIES / "post_provisioning", ACTIVITIES / "assignment")
    for path in sorted(folder.glob("*.ps1"))
}
TOKEN = "eyJhbGciOiJSUzI1NiJ9.a-secret-registration-token"
PARAMETERS = {
    "assign_user_as_administrator": {"UserPrincipalName": "adele@contoso.com"},
    "install_language": {"Locale": "fr-FR"},
    "install_avd_agent": {"RegistrationToken": TOKEN},
}
BROKEN_BY = {
    "recovery-environment": ("disable_windows_reset", "REAGENTC.EXE: Operation failed: 3"),
    "start-policy-registry": ("hide_start_menu_power_icons", "Requested registry access is not allowed."),
    "local-groups": ("assign_user_as_administrator", r"Principal AzureAD\adele@contoso.com was not found."),
    "teams-registry": ("set_teams_vdi_mode", "Requested registry access is not allowed."),
    "terminal-services-registry": ("enable_time_zone_redirection", "Requested registry access is not allowed."),
    "language-pack": ("install_language", "Failed to install language fr-FR. Error code: 0x80072EE7."),
    "disk-partition": ("resize_os_disk_partition", "Not enough available capacity"),
    "firewall": ("disable_port_3389", "There are no more endpoints available from the endpoint mapper."),
    "avd-agent": ("install_avd_agent", "ended with exit code 1603"),
    "unsigned-installer": ("install_avd_agent", "has no valid signature: NotSigned."),
}


CORE_SCRIPTS = {path.stem: path for path in sorted((ACTIVITIES / "core_provisioning").glob("*.ps1"))}


class FakeDomain:
    """A domain with Adele."""

    def has_user(self, name: str) -> bool:
        return name == "adele@contoso.com"


def make_guest(*defects: str, locale: str = "en-US") -> Guest:
    guest = Guest.create(
        computer_name="CPC-1",
        vm_id="/vm/1",
        disk_size_gib=256,
        admin_username="localadmin",
        defects=defects,
        locale=locale,
    )
    guest.entra_joined, guest.entra_device_id, guest.entra_tenant_id = True, "device", "tenant"
    return guest


def run(guest: Guest, name: str, **parameters: str) -> ScriptResult:
    return run_script(guest, SCRIPTS[name].read_text("ascii"), parameters or PARAMETERS.get(name, {}))


def changes(before: Any, after: Any, path: str = "") -> dict[str, Any]:
    """Return every leaf that differs between two pieces of plain data, by its path."""
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = [(key, before.get(key), after.get(key)) for key in {**before, **after}]
    elif isinstance(before, list) and isinstance(after, list):
        length = max(len(before), len(after))
        padded = [[*side, *[None] * (length - len(side))] for side in (before, after)]
        pairs = list(zip(range(length), *padded, strict=True))
    else:
        return {} if before == after else {path: after}
    found: dict[str, Any] = {}
    for key, old, new in pairs:
        found |= changes(old, new, f"{path}/{key}")
    return found


def registry_value(name: str, kind: str, value: int | str) -> dict[str, Any]:
    return {"name": name, "type": kind, "value": value}


def block_rule(protocol: str) -> dict[str, Any]:
    return {
        "name": f"CloudPC-Block-3389-{protocol}-In",
        "display_name": f"Cloud PC: block port 3389 ({protocol}-In)",
        "group": "",
        "direction": "Inbound",
        "action": "Block",
        "enabled": True,
        "profile": "Any",
        "protocol": protocol,
        "local_port": "3389",
    }


SOFTWARE = r"/registry/hklm\software\microsoft"
EXPECTED_CHANGES: dict[str, dict[str, Any]] = {
    "hide_start_menu_power_icons": {
        f"{SOFTWARE}\\policymanager\\default\\start\\hideshutdown/values/value/value": 1,
        f"{SOFTWARE}\\windows\\currentversion\\policies\\system/values/shutdownwithoutlogon/value": 0,
    },
    "disable_windows_reset": {"/recovery_environment_enabled": False},
    "assign_user_as_administrator": {"/groups/0/members/1": r"AzureAD\adele@contoso.com"},
    "set_teams_vdi_mode": {
        f"{SOFTWARE}\\teams": {
            "path": r"HKLM\Software\Microsoft\Teams",
            "values": {"iswvdenvironment": registry_value("IsWVDEnvironment", "DWord", 1)},
        }
    },
    "enable_time_zone_redirection": {
        r"/registry/hklm\software\policies\microsoft\windows nt\terminal services/values/fenabletimezoneredirection":
            registry_value("fEnabletimezoneRedirection", "DWord", 1)
    },
    "resize_os_disk_partition": {"/disk/partitions/3/size": 256 * GIB - MIB - 566 * MIB},
    "install_language": {
        "/languages/1": "fr-FR",
        **{f"/language_settings/{name}": "fr-FR" for name in LANGUAGE_SETTINGS},
    },
    "disable_port_3389": {"/firewall_rules/2": block_rule("TCP"), "/firewall_rules/3": block_rule("UDP")},
    "install_avd_agent": {
        "/avd_registration_token": TOKEN,
        f"{SOFTWARE}\\rdinfraagent": {
            "path": r"HKLM\SOFTWARE\Microsoft\RDInfraAgent",
            "values": {
                "isregistered": registry_value("IsRegistered", "DWord", 0),
                "registrationtoken": registry_value("RegistrationToken", "String", TOKEN),
            },
        },
        "/services/2": {
            "name": "RDAgentBootLoader", "display_name": "Remote Desktop Agent Loader", "status": "Running",
        },
        "/software/0": "Remote Desktop Services Infrastructure Agent",
        "/software/1": "Remote Desktop Agent Boot Loader",
    },
}  # fmt: skip
"""Everything that each script changes on a fresh guest, and nothing else."""


def test_every_step_has_its_script() -> None:
    assert set(SCRIPTS) == set(EXPECTED_CHANGES)
    assert {defect for defect, _ in BROKEN_BY.items()} == DEFECTS
    assert {script for script, _ in BROKEN_BY.values()} == set(SCRIPTS)


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_script_changes_what_is_documented_and_nothing_the_second_time(name: str, locale: str) -> None:
    guest = make_guest(locale=locale)
    fresh = asdict(guest)
    first = run(guest, name)
    assert (first.exit_code, first.error) == (0, "")
    assert re.fullmatch(r".+", first.output), "one line"
    changed = deepcopy(asdict(guest))
    assert changes(fresh, changed) == EXPECTED_CHANGES[name]

    second = run(guest, name)
    assert (second.exit_code, second.error) == (0, "")
    assert asdict(guest) == changed


@pytest.mark.parametrize("defect", sorted(DEFECTS))
def test_defect_fails_its_script_in_the_guests_own_words_and_no_other(defect: str) -> None:
    guest = make_guest(defect)
    broken, words = BROKEN_BY[defect]
    for name in SCRIPTS:
        result = run(guest, name)
        if name == broken:
            assert result.exit_code == 1
            assert words in result.error
            assert "At line:" in result.error
            assert result.output == ""
        else:
            assert (result.exit_code, result.error) == (0, ""), name


@pytest.mark.parametrize("path", [*SCRIPTS.values(), *CORE_SCRIPTS.values()], ids=lambda path: path.stem)
def test_script_is_plain_enough_for_windows_powershell(path: Path) -> None:
    text = path.read_bytes()
    text.decode("ascii")  # Windows PowerShell reads a file without byte order mark in the machine's code page.
    for part in (b".SYNOPSIS", b"https://learn.microsoft.com/", b"[CmdletBinding()]"):
        assert part in text
    for part in (b"Set-StrictMode -Version Latest", b"$ErrorActionPreference = 'Stop'"):
        assert part in text


# Each script reads its result back: a guest on which the change does not stay must fail it.
@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("set_teams_vdi_mode", "-Value 1 ", "-Value 2 ", "is not the DWORD 1"),
        ("set_teams_vdi_mode", "-PropertyType DWord", "-PropertyType String", "is not the DWORD 1"),
        ("enable_time_zone_redirection", "-Value 1 ", "-Value 2 ", "is not the DWORD 1"),
        ("hide_start_menu_power_icons", "-Value $setting.Value", "-Value 7", "is not the DWORD 1"),
        ("disable_windows_reset", "reagentc.exe /disable\n", "reagentc.exe /info\n", "is still enabled"),
        ("resize_os_disk_partition", "-Size $sizeMax", "-Size ($sizeMax - 1gb)", "reported success in extending"),
        ("disable_port_3389", "New-NetFirewallRule @rule", "New-NetFirewallRule -Name $rule.Name", "not in force"),
        ("disable_port_3389", "Action    = 'Block'", "Action    = 'Allow'", "not in force"),
        (
            "assign_user_as_administrator",
            "    Add-LocalGroupMember -SID $administrators -Member $member",
            "",
            "is not a member",
        ),
        ("install_avd_agent", "Install-Msi -Uri $bootLoaderUri", "Install-Msi -Uri $agentUri", "there is no service"),
    ],
)
def test_change_that_does_not_stay_is_noticed(name: str, old: str, new: str, words: str) -> None:
    text = SCRIPTS[name].read_text("ascii")
    assert old in text
    result = run_script(make_guest(), text.replace(old, new, 1), PARAMETERS.get(name, {}))
    assert result.exit_code == 1
    assert words in result.error


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
@pytest.mark.parametrize("value", [None, ""])
def test_script_needs_its_parameter(name: str, parameters: dict[str, str], value: str | None) -> None:
    guest = make_guest()
    fresh = asdict(guest)
    (parameter,) = parameters
    result = run_script(guest, SCRIPTS[name].read_text("ascii"), {} if value is None else {parameter: value})
    assert result.exit_code == 1
    assert parameter in result.error
    assert asdict(guest) == fresh


def test_administrator_of_a_domain_is_named_by_its_upn() -> None:
    guest = make_guest(locale="de-DE")
    guest.domain = "contoso.com"
    script = SCRIPTS["assign_user_as_administrator"].read_text("ascii")
    parameters = PARAMETERS["assign_user_as_administrator"]
    unknown = run_script(guest, script, parameters)
    assert unknown.exit_code == 1
    assert "Principal adele@contoso.com was not found." in unknown.error
    known = run_script(guest, script, parameters, FakeDomain())
    assert known.output == "adele@contoso.com is a local administrator."
    assert guest.groups[0].name == "Administratoren"
    assert guest.groups[0].members == [r"CPC-1\localadmin", "adele@contoso.com"]


def test_administrator_needs_a_joined_machine() -> None:
    guest = make_guest()
    guest.entra_joined = False
    result = run(guest, "assign_user_as_administrator")
    assert result.exit_code == 1
    assert "joined to neither Microsoft Entra ID nor Active Directory" in result.error


def test_recovery_partition_behind_the_os_partition_limits_it_and_is_told_of() -> None:
    guest = make_guest()
    os_partition = guest.disk.partitions[-1]
    guest.disk.partitions.append(Partition(5, "Recovery", os_partition.end, 600 * MIB))
    before = asdict(guest)
    result = run(guest, "resize_os_disk_partition")
    assert result.exit_code == 0
    assert "126.4 GiB" in result.output
    assert "128.4 GiB of the disk stay unallocated" in result.output
    assert asdict(guest) == before


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_port_3389_is_closed_while_the_service_stays(protocol: str) -> None:
    guest = make_guest()
    assert guest.inbound_port_open(3389, protocol)
    assert run(guest, "disable_port_3389").exit_code == 0
    assert not guest.inbound_port_open(3389, protocol)
    service = guest.service("TermService")
    assert service is not None
    assert service.status == "Running"


def test_port_3389_rule_that_was_tampered_with_is_set_right() -> None:
    guest = make_guest()
    run(guest, "disable_port_3389")
    right = asdict(guest)
    guest.firewall_rules[-1].enabled = False
    guest.firewall_rules[-2].action = "Allow"
    assert run(guest, "disable_port_3389").exit_code == 0
    assert asdict(guest) == right


def test_port_3389_does_not_count_as_closed_while_the_firewall_is_off() -> None:
    guest = make_guest()
    guest.firewall_profiles["Private"] = False
    result = run(guest, "disable_port_3389")
    assert result.exit_code == 1
    assert "Windows Firewall is off for the network profile Private" in result.error


def test_agent_asks_to_be_registered_until_it_is() -> None:
    guest = make_guest()
    assert guest.avd_registration_token is None
    run(guest, "install_avd_agent", RegistrationToken="expired")
    assert guest.avd_registration_token == "expired"
    assert run(guest, "install_avd_agent").exit_code == 0
    assert guest.avd_registration_token == TOKEN
    assert guest.software == ["Remote Desktop Services Infrastructure Agent", "Remote Desktop Agent Boot Loader"]

    guest.avd_registered()
    assert guest.avd_registration_token is None
    assert guest.registry_value(RDAGENT_KEY, "IsRegistered") == 1
    registered = asdict(guest)
    result = run(guest, "install_avd_agent")
    assert result.output == "The Azure Virtual Desktop agent was already registered."
    assert asdict(guest) == registered


def test_agent_is_completed_where_an_earlier_run_stopped_between_the_packages() -> None:
    guest = make_guest()
    run(guest, "install_avd_agent", RegistrationToken="expired")
    guest.services.pop()
    guest.software.pop()
    guest.avd_registration_token = None
    assert run(guest, "install_avd_agent").exit_code == 0
    assert guest.avd_registration_token == TOKEN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("RWrmXv", "RWrmXw"),
        ("'/quiet'", "'/passive'"),
        ("'msiexec.exe'", "'msiexec2.exe'"),
        ("'installer.msi'", "'no such folder\\installer.msi'"),
        ("-Uri $agentUri", "-Uri $bootLoaderUri"),
        ("-Wait -PassThru", "-Wait"),
        ("Install-Msi -Uri $agentUri", "Install-It -Uri $agentUri"),
    ],
)
@pytest.mark.parametrize("defects", [(), ("avd-agent",)])
def test_registration_token_is_never_printed(old: str, new: str, defects: tuple[str, ...]) -> None:
    text = SCRIPTS["install_avd_agent"].read_text("ascii").replace(old, new) if old else ""
    text = text or SCRIPTS["install_avd_agent"].read_text("ascii")
    result = run_script(make_guest(*defects), text, PARAMETERS["install_avd_agent"])
    assert result.exit_code == (1 if old or defects else 0)
    assert TOKEN not in result.output + result.error


@pytest.mark.parametrize("signer", ["CN=Contoso", "CN=Microsoft Corporation Ltd", "O=CN=Microsoft Corporation"])
def test_agent_signed_by_somebody_else_is_not_installed(signer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SIGNER", signer)
    guest = make_guest()
    result = run(guest, "install_avd_agent")
    assert result.exit_code == 1 and f"is signed by {signer}, not by Microsoft Corporation." in result.error
    assert guest.software == []


def test_registration_token_is_on_no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    run_program = Interpreter.run_program

    def run_noted(shell: Interpreter, path: str, arguments: Sequence[str]) -> tuple[list[str], int] | None:
        lines.append(f"{path} {' '.join(arguments)}")
        return run_program(shell, path, arguments)

    monkeypatch.setattr(Interpreter, "run_program", run_noted)
    guest = make_guest()
    assert run(guest, "install_avd_agent").exit_code == 0
    assert len(lines) == 2 and all(line.startswith("msiexec.exe /i ") and TOKEN not in line for line in lines)
    assert guest.avd_registration_token == TOKEN


# The script of a hybrid join


def enroll(guest: Guest, old: str = "", new: str = "") -> ScriptResult:
    text = CORE_SCRIPTS["enroll_by_device_credential"].read_text("ascii")
    assert old in text
    return run_script(guest, text.replace(old, new, 1) if old else text, {})


def test_enrollment_by_device_credential_writes_the_policy_and_starts_it() -> None:
    guest = make_guest()
    fresh = deepcopy(asdict(guest))
    assert enroll(guest).output == "This PC enrolls in device management by its device credential."
    policies = r"HKLM\SOFTWARE\Policies\Microsoft\Windows"
    assert changes(fresh, asdict(guest)) == {
        "/mdm_enrollment_requested": True,
        f"/registry/{policies.lower()}": {"path": policies, "values": {}},
        f"/registry/{policies.lower()}\\currentversion": {"path": f"{policies}\\CurrentVersion", "values": {}},
        f"/registry/{policies.lower()}\\currentversion\\mdm": {
            "path": f"{policies}\\CurrentVersion\\MDM",
            "values": {
                "autoenrollmdm": registry_value("AutoEnrollMDM", "DWord", 1),
                "useaadcredentialtype": registry_value("UseAADCredentialType", "DWord", 2),
            },
        },
    }
    written = deepcopy(asdict(guest))
    assert enroll(guest).exit_code == 0
    assert asdict(guest) == written
    guest.mdm_enrolled = True
    assert enroll(guest).output == "This PC was already enrolled in device management."


def test_enrollment_keeps_what_else_the_policy_says_and_sets_right_what_is_wrong() -> None:
    guest = make_guest()
    values = guest.create_registry_key(MDM_POLICY_KEY).values
    values["mdmapplicationid"] = RegistryValue("MDMApplicationId", "String", "app")
    values["useaadcredentialtype"] = RegistryValue("UseAADCredentialType", "DWord", 1)
    assert enroll(guest).exit_code == 0
    assert guest.registry_value(MDM_POLICY_KEY, "MDMApplicationId") == "app"
    assert guest.registry_value(MDM_POLICY_KEY, "UseAADCredentialType") == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("-Value $setting.Value", "-Value 7", "is not the DWORD 1"),
        ("-PropertyType DWord", "-PropertyType String", "is not the DWORD 1"),
        ("'UseAADCredentialType'; Value = 2", "'UseAADCredentialType'; Value = 1", "exit code 0x80180031."),
        ("CredentialType'; Value", "CredentialKind'; Value", "exit code 0x80180031."),
        ("DeviceEnroller.exe", "Enroller.exe", "cannot find the file specified"),
        ("'/c', ", "", "does not know the arguments"),
    ],
)
def test_enrollment_that_does_not_begin_fails(old: str, new: str, words: str) -> None:
    guest = make_guest()
    result = enroll(guest, old, new)
    assert result.exit_code == 1
    assert words in result.error
    assert not guest.mdm_enrollment_requested


def test_enrollment_needs_a_registered_machine() -> None:
    guest = make_guest()
    guest.entra_joined = False
    result = enroll(guest)
    assert result.exit_code == 1
    assert "could not enroll this PC by its device credential: it ended with exit code 0x80180002." in result.error
