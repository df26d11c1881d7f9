"""The state of one simulated Windows 11: what a script can read and change."""

from collections.abc import Collection
from dataclasses import dataclass, field

MIB = 1024**2
"""Bytes in a mebibyte."""
GIB = 1024**3
"""Bytes in a gibibyte."""
IMAGE_SIZE_GIB = 127
"""Size of the disk that the gallery image was made on: as far as C: reaches before it is resized."""
REMOTE_DESKTOP_PORT = 3389
"""Where TermService listens."""
NETWORK_PROFILES = ("Domain", "Private", "Public")
"""The kinds of network that Windows Firewall tells apart."""

DEFECTS = frozenset(
    {
        "recovery-environment",
        "start-policy-registry",
        "local-groups",
        "teams-registry",
        "terminal-services-registry",
        "disk-partition",
        "firewall",
        "avd-agent",
        "language-pack",
        "unsigned-installer",
    }
)
"""What can be broken in a guest from its birth.

- `recovery-environment`: `reagentc.exe /disable` fails.
- `start-policy-registry`, `teams-registry`, `terminal-services-registry`: the key denies writing.
- `local-groups`: no account can be found to be added to a local group.
- `disk-partition`: no partition can be resized.
- `firewall`: the Windows Firewall service does not run.
- `avd-agent`: the installer of the Azure Virtual Desktop agent fails.
- `language-pack`: no language pack can be downloaded.
- `unsigned-installer`: what is downloaded has lost its signature on the way.
"""

LANGUAGE_SETTINGS = (
    "SystemPreferredUILanguage",
    "SystemLocale",
    "UILanguageOverride",
    "UserLanguageList",
    "Culture",
    "WelcomeScreen",
    "NewUser",
)
"""What of Windows has a language; the last two are the accounts that the others were copied to."""
ADMINISTRATORS_SID = "S-1-5-32-544"
"""The local Administrators group under whatever name it has."""
MDM_POLICY_KEY = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\MDM"
"""Where the group policy for automatic enrolment is kept."""
RDAGENT_KEY = r"HKLM:\SOFTWARE\Microsoft\RDInfraAgent"
"""Where the Azure Virtual Desktop agent keeps its registration."""
RDAGENT_SERVICE = "RDAgentBootLoader"
"""The service that loads the Azure Virtual Desktop agent."""

_DENIED_KEYS = {
    "start-policy-registry": r"hklm\software\microsoft\policymanager\default\start\hideshutdown",
    "teams-registry": r"hklm\software\microsoft\teams",
    "terminal-services-registry": r"hklm\software\policies\microsoft\windows nt\terminal services",
}
_ADMINISTRATORS_NAMES = {"de": "Administratoren", "fr": "Administrateurs", "es": "Administradores"}


@dataclass
class RegistryValue:
    """One value of a registry key; `type` is a `RegistryValueKind` such as `DWord` or `String`."""

    name: str
    type: str
    value: int | str


@dataclass
class RegistryKey:
    """One registry key; `path` as written by who made it, `values` by their name in lower case."""

    path: str
    values: dict[str, RegistryValue] = field(default_factory=dict[str, RegistryValue])


@dataclass
class Partition:
    """One partition: number from 1, GPT type, place and size in bytes, drive letter or an empty string."""

    number: int
    type: str
    offset: int
    size: int
    drive_letter: str = ""

    @property
    def end(self) -> int:
        """The first byte behind the partition."""
        return self.offset + self.size


@dataclass
class Disk:
    """The OS disk: size in bytes and its partitions in the order of their offsets."""

    size: int
    partitions: list[Partition]

    def with_letter(self, drive_letter: str) -> Partition | None:
        """Return the partition that carries a drive letter, or None."""
        return next((p for p in self.partitions if p.drive_letter and p.drive_letter == drive_letter.upper()), None)

    def size_max(self, partition: Partition) -> int:
        """Return the size in bytes that a partition can grow to: up to its neighbour or the end of the disk."""
        # The last mebibyte holds the second copy of the partition table.
        neighbours = [p.offset for p in self.partitions if p.offset >= partition.end]
        return min([*neighbours, self.size - MIB]) - partition.offset

    @property
    def largest_free_extent(self) -> int:
        """The size in bytes of the largest stretch of the disk that belongs to no partition."""
        return max(self.size_max(partition) - partition.size for partition in self.partitions)


@dataclass
class LocalGroup:
    r"""One local group; members as `AUTHORITY\name`."""

    name: str
    sid: str
    members: list[str]


@dataclass
class FirewallRule:
    """One Windows Firewall rule; the words are those of the NetSecurity cmdlets."""

    name: str
    display_name: str
    group: str
    direction: str
    action: str
    enabled: bool
    profile: str
    protocol: str
    local_port: str

    def covers(self, port: int, protocol: str, profile: str) -> bool:
        """Return whether the rule, when enabled, decides about an inbound packet."""
        return (
            self.enabled
            and self.direction == "Inbound"
            and self.profile in ("Any", profile)
            and self.protocol in ("Any", protocol)
            and self.local_port in ("Any", str(port))
        )


@dataclass
class Service:
    """One Windows service; status `Running` or `Stopped`."""

    name: str
    display_name: str
    status: str


@dataclass
class Guest:
    r"""One Windows 11 machine. Only plain data, so that `dataclasses.asdict` gives JSON.

    Attributes:
        computer_name: NetBIOS name.
        vm_id: The ARM id of its virtual machine.
        locale: BCP-47 tag of the display language; groups are named in the one of the image.
        languages: BCP-47 tags of the languages whose language pack is installed.
        language_settings: BCP-47 tags by what the International cmdlets set, such as `SystemPreferredUILanguage`;
            in force after the next restart.
        defects: The `DEFECTS` it was born with, sorted.
        disk: The OS disk.
        registry: The keys of HKEY_LOCAL_MACHINE by path in lower case, such as `hklm\software\microsoft`.
        groups: Local groups.
        firewall_profiles: Whether Windows Firewall is on, by network profile.
        firewall_rules: Windows Firewall rules.
        services: Windows services.
        software: Display names of the installed programs.
        files: What each file holds, by path in lower case; a downloaded file holds the address it came from.
        directories: Paths of the directories, in lower case.
        recovery_environment_enabled: Whether Windows RE is enabled.
        entra_joined: Whether it is joined to Microsoft Entra ID.
        entra_device_id: Its Entra device id while joined.
        entra_tenant_id: The tenant it is joined to.
        domain: Name of the Active Directory domain it is joined to.
        mdm_enrolled: Whether it is enrolled in Intune.
        mdm_enrollment_requested: Whether it has just asked Intune to be enrolled.
        os_build: Windows build.
        avd_registration_token: The token with which the Azure Virtual Desktop agent asks to be registered, or None.

    """

    computer_name: str
    vm_id: str
    locale: str
    defects: list[str]
    disk: Disk
    registry: dict[str, RegistryKey]
    groups: list[LocalGroup]
    firewall_profiles: dict[str, bool]
    firewall_rules: list[FirewallRule]
    services: list[Service]
    software: list[str]
    files: dict[str, str]
    directories: list[str]
    recovery_environment_enabled: bool = True
    entra_joined: bool = False
    entra_device_id: str | None = None
    entra_tenant_id: str | None = None
    domain: str | None = None
    mdm_enrolled: bool = False
    mdm_enrollment_requested: bool = False
    os_build: str = "26100.2314"
    avd_registration_token: str | None = None
    languages: list[str] = field(default_factory=list[str])
    language_settings: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def create(
        cls,
        *,
        computer_name: str,
        vm_id: str,
        disk_size_gib: int,
        admin_username: str,
        defects: Collection[str] = (),
        locale: str = "en-US",
    ) -> "Guest":
        """Return a guest as it first boots from a gallery image.

        Args:
            computer_name: NetBIOS name.
            vm_id: The ARM id of its virtual machine.
            disk_size_gib: Size of the OS disk.
            admin_username: The local account made at provisioning, a member of Administrators.
            defects: Names out of `DEFECTS`.
            locale: BCP-47 tag of the display language.

        Raises:
            ValueError: A defect is not in `DEFECTS`.

        """
        if unknown := set(defects) - DEFECTS:
            raise ValueError(f"defects: unknown {', '.join(sorted(unknown))}")
        guest = cls(
            computer_name=computer_name,
            vm_id=vm_id,
            locale=locale,
            defects=sorted(defects),
            disk=_image_disk(disk_size_gib),
            registry={},
            groups=[
                LocalGroup(
                    name=_ADMINISTRATORS_NAMES.get(locale.split("-")[0], "Administrators"),
                    sid=ADMINISTRATORS_SID,
                    members=[f"{computer_name}\\{admin_username}"],
                )
            ],
            firewall_profiles=dict.fromkeys(NETWORK_PROFILES, True),
            firewall_rules=[_remote_desktop_rule(protocol) for protocol in ("TCP", "UDP")],
            services=[
                Service("MpsSvc", "Windows Defender Firewall", "Stopped" if "firewall" in defects else "Running"),
                Service("TermService", "Remote Desktop Services", "Running"),
            ],
            software=[],
            files={},
            directories=[r"c:\windows\temp"],
            languages=[locale],
            language_settings=dict.fromkeys(LANGUAGE_SETTINGS, locale),
        )
        for path, name, value in (
            (r"HKLM:\SOFTWARE\Microsoft\PolicyManager\default\Start\HideShutDown", "value", 0),
            (r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System", "shutdownwithoutlogon", 1),
        ):
            guest.create_registry_key(path).values[name] = RegistryValue(name, "DWord", value)
        guest.create_registry_key(r"HKLM:\SOFTWARE\Policies\Microsoft\Windows NT\Terminal Services")
        return guest

    def registry_key(self, path: str) -> RegistryKey | None:
        r"""Return the key at a path such as `HKLM:\SOFTWARE\Microsoft`, in any case, or None."""
        return self.registry.get(_folded(path))

    def registry_value(self, path: str, name: str) -> int | str | None:
        """Return the data of a value, or None where the key or the value is missing."""
        key = self.registry_key(path)
        value = key.values.get(name.lower()) if key else None
        return value.value if value else None

    def create_registry_key(self, path: str) -> RegistryKey:
        """Return the key at a path, made with all its ancestors where they are missing."""
        parts = path.replace("HKLM:", "HKLM", 1).strip("\\").split("\\")
        for depth in range(1, len(parts) + 1):
            ancestor = "\\".join(parts[:depth])
            self.registry.setdefault(ancestor.lower(), RegistryKey(ancestor))
        return self.registry[_folded(path)]

    def delete_registry_key(self, path: str) -> None:
        """Delete the key at a path and all below it."""
        folded = _folded(path)
        for key in [key for key in self.registry if key == folded or key.startswith(f"{folded}\\")]:
            del self.registry[key]

    def denies_writing(self, path: str) -> bool:
        """Return whether a registry key's access control denies writing to it."""
        folded = _folded(path)
        return any(folded == key and defect in self.defects for defect, key in _DENIED_KEYS.items())

    def service(self, name: str) -> Service | None:
        """Return the service of a name, in any case, or None."""
        return next((service for service in self.services if service.name.lower() == name.lower()), None)

    def inbound_port_open(self, port: int, protocol: str) -> bool:
        """Return whether a packet from the network reaches what listens on a port, in some network profile.

        A Block rule beats every Allow rule, and what no rule allows is blocked.
        Source: https://learn.microsoft.com/windows/security/operating-system-security/network-security/windows-firewall/rules

        Args:
            port: Port number.
            protocol: `TCP` or `UDP`.

        """
        for profile, is_on in self.firewall_profiles.items():
            actions = {rule.action for rule in self.firewall_rules if rule.covers(port, protocol, profile)}
            if not is_on or ("Allow" in actions and "Block" not in actions):
                return True
        return False

    def restart(self) -> None:
        """Come up anew, in the language that was set."""
        self.locale = self.language_settings["SystemPreferredUILanguage"]

    def start_service(self, service: Service) -> None:
        """Start or restart a service. The agent's reads its registration token when it starts."""
        service.status = "Running"
        if service.name == RDAGENT_SERVICE and self.registry_value(RDAGENT_KEY, "IsRegistered") == 0:
            self.avd_registration_token = str(self.registry_value(RDAGENT_KEY, "RegistrationToken") or "") or None

    def avd_registered(self) -> None:
        """Note that Azure Virtual Desktop took the guest in as a session host: the agent forgets the token.

        Source: https://learn.microsoft.com/troubleshoot/azure/virtual-desktop/troubleshoot-agent
        """
        self.avd_registration_token = None
        key = self.create_registry_key(RDAGENT_KEY)
        key.values["isregistered"] = RegistryValue("IsRegistered", "DWord", 1)
        key.values["registrationtoken"] = RegistryValue("RegistrationToken", "String", "")


def _folded(path: str) -> str:
    return path.lower().replace("hklm:", "hklm", 1).strip("\\")


def _image_disk(disk_size_gib: int) -> Disk:
    # The generation 2 images of Azure keep the recovery partition in front, so that C: can grow.
    partitions: list[Partition] = []
    offset = MIB
    for type_, size in (("Recovery", 450 * MIB), ("System", 99 * MIB), ("Reserved", 16 * MIB)):
        partitions.append(Partition(len(partitions) + 1, type_, offset, size))
        offset += size
    end = min(IMAGE_SIZE_GIB, disk_size_gib) * GIB - MIB
    partitions.append(Partition(len(partitions) + 1, "Basic", offset, end - offset, "C"))
    return Disk(disk_size_gib * GIB, partitions)


def _remote_desktop_rule(protocol: str) -> FirewallRule:
    return FirewallRule(
        name=f"RemoteDesktop-UserMode-In-{protocol}",
        display_name=f"Remote Desktop - User Mode ({protocol}-In)",
        group="@FirewallAPI.dll,-28752",
        direction="Inbound",
        action="Allow",
        enabled=True,
        profile="Any",
        protocol=protocol,
        local_port=str(REMOTE_DESKTOP_PORT),
    )
