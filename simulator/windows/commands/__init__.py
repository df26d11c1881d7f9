"""The cmdlets and programs of the simulated Windows, by their names in lower case."""

from collections.abc import Callable, Mapping, Sequence

from simulator.windows.cmdlets import Cmdlet
from simulator.windows.commands import (
    accounts,
    firewall,
    international,
    items,
    language,
    processes,
    programs,
    services,
    storage,
)
from simulator.windows.guest import Guest

CMDLETS: Mapping[str, Cmdlet] = {
    member.name.lower(): member
    for module in (accounts, firewall, international, items, language, processes, services, storage)
    for member in vars(module).values()
    if isinstance(member, Cmdlet)
}
"""Every cmdlet."""

PROGRAMS: Mapping[str, Callable[[Guest, Sequence[str]], tuple[list[str], int]]] = {
    "deviceenroller": programs.deviceenroller,
    "dsregcmd": programs.dsregcmd,
    "msiexec": programs.msiexec,
    "reagentc": programs.reagentc,
}
"""Every executable: takes the guest and its arguments, returns its output lines and exit code."""
