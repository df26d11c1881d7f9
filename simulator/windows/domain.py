"""The Active Directory domain as one Windows reaches it over the network."""

from typing import Protocol

_TEXTS = {
    2: "The system cannot find the file specified.",
    5: "Access is denied.",
    50: "The request is not supported.",
    53: "The network path was not found.",
    87: "The parameter is incorrect.",
    1326: "The user name or password is incorrect.",
    1330: "The password for this account has expired.",
    1331: "This user can't sign in because this account is currently disabled.",
    1332: "No mapping between account names and security IDs was done.",
    1355: "The specified domain either does not exist or could not be contacted.",
    1909: "The referenced account is currently locked out and may not be logged on to.",
    2691: "The machine is already joined to the domain.",
    2732: "An account with the same name exists in Active Directory. Re-using the account was blocked by security "
    "policy.",
    8557: "Your computer could not be joined to the domain. You have exceeded the maximum number of computer accounts "
    "you are allowed to create in this domain.",
}


class DomainError(Exception):
    """What the domain refuses.

    Source: https://learn.microsoft.com/windows/win32/debug/system-error-codes

    Attributes:
        win32_code: The Win32 error.

    """

    def __init__(self, win32_code: int) -> None:
        self.win32_code = win32_code
        super().__init__(f"{win32_code}: {_TEXTS[win32_code]}")


class Domain(Protocol):
    """What a script can ask of a domain."""

    def has_user(self, name: str) -> bool:
        r"""Return whether the domain that the machine is joined to has a user `CORP\name` or `name@domain`."""
        ...


class NoDomain:
    """A network without a domain."""

    def has_user(self, name: str) -> bool:
        """Know no user."""
        return False
