"""Cmdlets over local groups.

Source: https://learn.microsoft.com/powershell/module/microsoft.powershell.localaccounts/add-localgroupmember
"""

from collections.abc import Sequence

from simulator.windows.cmdlets import BINDING_EXCEPTION, Call, Parameter, cmdlet
from simulator.windows.guest import LocalGroup
from simulator.windows.values import Value

_EXCEPTIONS = "Microsoft.PowerShell.Commands"


def _group(call: Call) -> LocalGroup | None:
    """Return the group named by -SID or -Group, or None after its absence has been reported."""
    wanted = call.text("SID") or call.text("Group")
    if not wanted:
        raise call.failure(
            "Cannot process command because of one or more missing mandatory parameters: Group.", BINDING_EXCEPTION
        )
    for group in call.guest.groups:
        if wanted.lower() == (group.sid if call.has("SID") else group.name).lower():
            return group
    call.report(f"Group {wanted} was not found.", f"{_EXCEPTIONS}.GroupNotFoundException")
    return None


def _can_resolve(call: Call, account: str) -> bool:
    """Return whether Windows finds the account: local ones itself, others where it is joined to."""
    guest = call.guest
    authority, _, name = account.rpartition("\\")
    if "local-groups" in guest.defects or not name:
        return False
    if authority.lower() == "azuread":
        return guest.entra_joined and "@" in name
    known = {member.lower() for group in guest.groups for member in group.members}
    return account.lower() in known or call.domain.has_user(account)


@cmdlet(
    "Add-LocalGroupMember",
    Parameter("SID"),
    Parameter("Group", position=0),
    Parameter("Member", "System.String[]", mandatory=True, position=1),
)
def add_local_group_member(call: Call) -> Sequence[Value]:
    """Add accounts to a local group."""
    group = _group(call)
    if not group:
        return []
    for member in call.texts("Member"):
        if not _can_resolve(call, member):
            call.report(f"Principal {member} was not found.", f"{_EXCEPTIONS}.PrincipalNotFoundException")
        elif member.lower() in [existing.lower() for existing in group.members]:
            call.report(f"{member} is already a member of group {group.name}.", f"{_EXCEPTIONS}.MemberExistsException")
        else:
            group.members.append(member)
    return []
