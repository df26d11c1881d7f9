"""Objects of .NET: of all that `New-Object` makes, only what looks for a computer's account in a domain.

Source: https://learn.microsoft.com/dotnet/api/system.directoryservices.directorysearcher
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from simulator.windows.cmdlets import Call, Parameter, cmdlet
from simulator.windows.domain import Domain, DomainError
from simulator.windows.errors import ErrorRecord, NotSimulated, PowerShellError
from simulator.windows.values import Array, PSObject, Value, items, to_text

_ENTRY = "System.DirectoryServices.DirectoryEntry"
_SEARCHER = "System.DirectoryServices.DirectorySearcher"
_RESULT = "System.DirectoryServices.SearchResult"
_PATH = re.compile(r"LDAP://([^/]+)")
_FILTER = re.compile(r"\(&\(objectCategory=computer\)\(sAMAccountName=([^()*$]+)\$\)\)", re.IGNORECASE)
_UNREACHABLE = frozenset({53, 1355})
_T = TypeVar("_T")


@dataclass
class _Entry(PSObject):
    """Where a search begins, and who searches."""

    server: str = ""
    user: str = ""
    password: str = field(default="", repr=False)


@cmdlet(
    "New-Object",
    Parameter("TypeName", mandatory=True, position=0),
    Parameter("ArgumentList", "System.Object[]", position=1),
)
def new_object(call: Call) -> Sequence[Value]:
    """Make a directory entry of path, user and password, or a searcher of an entry and a filter."""
    arguments = items(call.arguments.get("ArgumentList", Array()))
    match call.text("TypeName").lower().removeprefix("system."), arguments:
        case "directoryservices.directoryentry", [path, user, password] if found := _PATH.fullmatch(to_text(path)):
            return [_Entry(_ENTRY, server=found[1], user=to_text(user), password=to_text(password))]
        case "directoryservices.directorysearcher", [_Entry() as root, filter] if found := _FILTER.fullmatch(
            to_text(filter)
        ):
            return [_searcher(call.domain, root, found[1])]
        case name, _:
            # Not the arguments: one may be a password.
            raise NotSimulated(f"{call.name} : The simulated Windows cannot make a {name} of these arguments.")


def _searcher(domain: Domain, root: _Entry, name: str) -> PSObject:
    def find_one(arguments: list[Value]) -> Value:
        found = _called("FindOne", lambda: domain.find_computer(root.server, root.user, root.password, name))
        return None if found is None else _result(domain, root, found)

    return PSObject(_SEARCHER, methods={"FindOne": find_one})


def _result(domain: Domain, root: _Entry, distinguished_name: str) -> PSObject:
    def delete_tree(arguments: list[Value]) -> Value:
        _called("DeleteTree", lambda: domain.delete_computer(root.server, root.user, root.password, distinguished_name))
        return Array()

    path = f"LDAP://{root.server}/{distinguished_name}"
    entry = PSObject(_ENTRY, {"Path": path}, methods={"DeleteTree": delete_tree})
    return PSObject(_RESULT, {"Path": path}, methods={"GetDirectoryEntry": lambda _: entry})


def _called(method: str, act: Callable[[], _T]) -> _T:
    try:
        return act()
    except DomainError as error:
        text = "The server is not operational." if error.win32_code in _UNREACHABLE else error.text
        raise PowerShellError(ErrorRecord(f'Exception calling "{method}" with "0" argument(s): "{text}"')) from None
