r"""The customer's Active Directory domain, and Microsoft Entra Connect, which brings its computers into Entra ID.

The domain is `corp.contoso.com` (`CORP`). What is refused, is refused with the Win32 error of the real domain.

Sources: https://learn.microsoft.com/windows/win32/api/lmjoin/nf-lmjoin-netjoindomain,
https://learn.microsoft.com/troubleshoot/windows-server/active-directory/active-directory-domain-join-troubleshooting-guidance
and https://learn.microsoft.com/entra/identity/devices/device-registration-how-it-works
"""

import hmac
import re
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from simulator.clock import Clock
from simulator.directory import DEVICE_JOIN_TASK_SECONDS, SYNCHRONIZATION_SECONDS, Directory
from simulator.windows.domain import DomainError
from simulator.windows.guest import Guest

DOMAIN = "corp.contoso.com"
"""Name of the domain."""
NETBIOS_NAME = "CORP"
"""Its short name."""
DISTINGUISHED_NAME = "DC=corp,DC=contoso,DC=com"
"""Its root."""
DOMAIN_CONTROLLER = "10.20.0.4"
"""Address of its domain controller, which is its DNS server too."""
JOIN_USER = "svc-join@corp.contoso.com"
"""The account that joins computers to it."""
JOIN_PASSWORD = "simulator-only-join-password-q7Zt3vLx9Kd2"  # noqa: S105 - of the simulator, worth nothing elsewhere
"""That account's password at the start."""
LOCKOUT_THRESHOLD = 5
"""After so many wrong passwords an account is locked out, until `bad_passwords` is set back."""

CREATE_ACCOUNT = 0x02
"""Flag of NetJoinDomain: make the computer's account where there is none."""

_SID = "S-1-5-21-1804289383-846930886-1681692777"
_FIRST_COMPUTER = 2001
_COMPUTERS = f"CN=Computers,{DISTINGUISHED_NAME}"
_UNIT = re.compile(r"(OU|CN)=[^,=]+(,(OU|CN|DC)=[^,=]+)+", re.IGNORECASE)


@dataclass
class Account:
    """An account that signs in.

    Attributes:
        user_principal_name: Its name, such as `svc-join@corp.contoso.com`.
        password: Its password.
        enabled: Whether it may sign in at all.
        password_expired: Whether its password has expired.
        may_join: Whether it has the right to add computers to the domain.
        bad_passwords: How many wrong passwords have come in a row; a right one sets it back.

    """

    user_principal_name: str
    password: str = field(repr=False)
    enabled: bool = True
    password_expired: bool = False
    may_join: bool = True
    bad_passwords: int = 0

    @property
    def locked(self) -> bool:
        """Whether it is locked out."""
        return self.bad_passwords >= LOCKOUT_THRESHOLD


@dataclass
class OrganizationalUnit:
    """Where computer accounts lie.

    Attributes:
        distinguished_name: Its name, such as `OU=Cloud PCs,DC=corp,DC=contoso,DC=com`.
        delegates: User principal names of those who may make computer accounts in it.
        synchronized: Whether Entra Connect looks at it.

    """

    distinguished_name: str
    delegates: set[str] = field(default_factory=set[str])
    synchronized: bool = True


@dataclass
class Computer:
    """A computer account.

    Attributes:
        name: Its name.
        distinguished_name: Its name with the place where it lies.
        sid: Its security identifier.
        created_by: User principal name of who made it.
        operating_system_version: Version of its Windows, such as `10.0.26100.2314`.
        enabled: Whether the computer can use it.

    """

    name: str
    distinguished_name: str
    sid: str
    created_by: str
    operating_system_version: str
    enabled: bool = True

    @property
    def unit(self) -> str:
        """Distinguished name of the place where it lies."""
        return self.distinguished_name.partition(",")[2]


class ActiveDirectory:
    """The domain; tests and demonstrations change its attributes.

    Args:
        directory: Where Entra Connect brings its computers, and where its users are.
        tenant_id: The tenant of that directory.
        clock: Time and delays.
        guests: The Windows inside each virtual machine, by the machine's ARM id in lower case.
        spawn: Lets work go on in the background.

    Attributes:
        accounts: Accounts that sign in, by user principal name in lower case. The users are in the directory.
        organizational_units: Places for computer accounts, by distinguished name in lower case.
        computers: Computer accounts, by name in lower case.
        machine_account_quota: How many computer accounts one who is no delegate may make in the default container.
        reachable: Whether the domain controller answers.
        synchronizes: Whether Entra Connect runs; call `changed` when it does again.

    """

    def __init__(
        self,
        directory: Directory,
        tenant_id: str,
        *,
        clock: Clock,
        guests: Mapping[str, Guest],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._directory = directory
        self._tenant_id = tenant_id
        self._clock = clock
        self._guests = guests
        self._spawn = spawn
        self.accounts = {JOIN_USER: Account(JOIN_USER, JOIN_PASSWORD)}
        units = (
            OrganizationalUnit(_COMPUTERS),
            OrganizationalUnit(f"OU=Cloud PCs,{DISTINGUISHED_NAME}", {JOIN_USER}),
            OrganizationalUnit(f"OU=Laboratory,{DISTINGUISHED_NAME}", {JOIN_USER}, synchronized=False),
            OrganizationalUnit(f"OU=Servers,{DISTINGUISHED_NAME}"),
        )
        self.organizational_units = {unit.distinguished_name.lower(): unit for unit in units}
        self.computers: dict[str, Computer] = {}
        self.machine_account_quota = 10
        self.reachable = True
        self.synchronizes = True
        self._made = 0

    def inventory(self) -> list[dict[str, object]]:
        """Return the computer accounts."""
        return [asdict(computer) for computer in self.computers.values()]

    def contact(self, domain: str, dns_servers: Collection[str]) -> None:
        """Look the domain up and reach its controller.

        Args:
            domain: Name of the domain.
            dns_servers: Addresses of the DNS servers that are asked.

        Raises:
            DomainError: 1355 there is no such domain, 53 it does not answer.

        """
        if domain.lower() != DOMAIN or DOMAIN_CONTROLLER not in dns_servers:
            raise DomainError(1355)
        if not self.reachable:
            raise DomainError(53)

    def sign_in(self, user: str, password: str) -> Account:
        r"""Return the account of a user, `name@domain` or `CORP\name`.

        Raises:
            DomainError: 1326 wrong name or password, 1909 locked out, 1331 disabled, 1330 the password has expired.

        """
        authority, _, name = user.lower().rpartition("\\")
        account = self.accounts.get(f"{name}@{DOMAIN}" if authority in (NETBIOS_NAME.lower(), DOMAIN) else name)
        if account is None:
            raise DomainError(1326)
        if account.locked:
            raise DomainError(1909)
        if not hmac.compare_digest(password.encode(), account.password.encode()):
            account.bad_passwords += 1
            raise DomainError(1326)
        account.bad_passwords = 0
        if not account.enabled:
            raise DomainError(1331)
        if account.password_expired:
            raise DomainError(1330)
        return account

    def has_user(self, name: str) -> bool:
        r"""Return whether there is a user or an account `CORP\name` or `name@domain`."""
        users = [user for user in self._directory.users.values() if user["onPremisesSyncEnabled"]]
        known = {str(user["onPremisesUserPrincipalName"]).lower() for user in users} | set(self.accounts)
        known |= {f"{NETBIOS_NAME}\\{user['onPremisesSamAccountName']}".lower() for user in users}
        return name.lower() in known

    def join(
        self,
        guest: Guest,
        domain: str,
        user: str,
        password: str,
        ou_path: str,
        options: int,
        dns_servers: Collection[str],
    ) -> Computer:
        """Join a machine, as NetJoinDomain does.

        Args:
            guest: The machine; its `domain` is set.
            domain: Name of the domain.
            user: Who joins it.
            password: That account's password.
            ou_path: Where its account is made; empty for the default container. One that exists stays where it is.
            options: Flags of NetJoinDomain.
            dns_servers: Addresses of the machine's DNS servers.

        Returns:
            Its account.

        Raises:
            DomainError: What `contact` and `sign_in` raise; 50 it is joined to Entra ID; 2691 to another domain;
                87 the unit's name is malformed; 2 there is no such unit; 5 the account may not make computers there;
                8557 it has made too many; 1332 there is no account, and none is to be made; 2732 there is one,
                and it is somebody else's.

        """
        if guest.domain or guest.entra_joined:
            raise DomainError(2691 if guest.domain else 50)
        self.contact(domain, dns_servers)
        account = self.sign_in(user, password)
        if ou_path and not _UNIT.fullmatch(ou_path):
            raise DomainError(87)
        unit = self.organizational_units.get((ou_path or _COMPUTERS).lower())
        if unit is None:
            raise DomainError(2)
        computer = self.computers.get(guest.computer_name.lower())
        if computer is None:
            if not options & CREATE_ACCOUNT:
                raise DomainError(1332)
            self._check_create(account, unit)
            computer = self._create(guest, unit, account)
        elif computer.created_by != account.user_principal_name:
            raise DomainError(2732)
        computer.enabled = True
        guest.domain = DOMAIN
        self.changed()
        return computer

    def _check_create(self, account: Account, unit: OrganizationalUnit) -> None:
        name = account.user_principal_name
        if name in unit.delegates:
            return
        if not account.may_join or unit.distinguished_name != _COMPUTERS:
            raise DomainError(5)
        made = [computer for computer in self.computers.values() if computer.created_by == name]
        if sum(computer.unit == _COMPUTERS for computer in made) >= self.machine_account_quota:
            raise DomainError(8557)

    def _create(self, guest: Guest, unit: OrganizationalUnit, account: Account) -> Computer:
        computer = Computer(
            name=guest.computer_name,
            distinguished_name=f"CN={guest.computer_name},{unit.distinguished_name}",
            sid=f"{_SID}-{_FIRST_COMPUTER + self._made}",
            created_by=account.user_principal_name,
            operating_system_version=f"10.0.{guest.os_build}",
        )
        self._made += 1
        self.computers[computer.name.lower()] = computer
        return computer

    def delete_computer(self, name: str) -> None:
        """Delete a computer's account, as the domain's own clean-up or an admin does."""
        del self.computers[name.lower()]
        self.changed()

    # Microsoft Entra Connect, and the task by which a computer registers itself

    def changed(self) -> None:
        """Let Entra Connect see, at its next run, what is different in the domain or in Entra ID."""
        self._spawn(self._synchronize())

    async def _synchronize(self) -> None:
        await self._clock.sleep(SYNCHRONIZATION_SECONDS)
        if not self.synchronizes:
            return
        seen = [computer for computer in self.computers.values() if self._is_synchronized(computer)]
        self._directory.synchronize(seen)
        for guest in self._guests.values():
            if guest.domain and not guest.entra_joined:
                self._spawn(self._register(guest))

    def _is_synchronized(self, computer: Computer) -> bool:
        unit = self.organizational_units.get(computer.unit.lower())
        return unit is not None and unit.synchronized

    async def _register(self, guest: Guest) -> None:
        await self._clock.sleep(DEVICE_JOIN_TASK_SECONDS)
        computer = self.computers.get(guest.computer_name.lower())
        is_there = self._guests.get(guest.vm_id.lower()) is guest
        if computer is None or not computer.enabled or not is_there or guest.entra_joined:
            return
        if device := self._directory.register_computer(computer.sid):
            guest.entra_joined = True
            guest.entra_device_id = device["deviceId"]
            guest.entra_tenant_id = self._tenant_id


class ReachedDomain:
    """The domain as one machine reaches it: what its scripts can ask there.

    Args:
        active_directory: The domain.
        guest: The machine.
        dns_servers: Addresses of its DNS servers.

    """

    def __init__(self, active_directory: ActiveDirectory, guest: Guest, dns_servers: Collection[str]) -> None:
        self._active_directory = active_directory
        self._guest = guest
        self._dns_servers = dns_servers

    def has_user(self, name: str) -> bool:
        r"""Return whether the domain that the machine is joined to has a user `CORP\name` or `name@domain`."""
        if not self._guest.domain:
            return False
        try:
            self._active_directory.contact(self._guest.domain, self._dns_servers)
        except DomainError:
            return False
        return self._active_directory.has_user(name)
