<#
.SYNOPSIS
Makes the Cloud PC's user a member of its local Administrators group.

.PARAMETER UserPrincipalName
The user, such as adele@contoso.com. On a PC joined to Active Directory it must be the one of its domain.

.NOTES
Source: https://learn.microsoft.com/windows-365/enterprise/automated-provisioning-steps
        https://learn.microsoft.com/entra/identity/devices/assign-local-admin
        https://learn.microsoft.com/powershell/module/microsoft.powershell.localaccounts/add-localgroupmember
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [ValidateNotNullOrEmpty()]
    [string]$UserPrincipalName
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

# The group's name is translated; its SID is the same everywhere.
$administrators = 'S-1-5-32-544'

$join = dsregcmd.exe /status
if ($join -match 'DomainJoined\s*:\s*YES') {
    $member = $UserPrincipalName
}
elseif ($join -match 'AzureAdJoined\s*:\s*YES') {
    $member = "AzureAD\$UserPrincipalName"
}
else {
    throw "This PC is joined to neither Microsoft Entra ID nor Active Directory, so it cannot know $UserPrincipalName."
}

try {
    Add-LocalGroupMember -SID $administrators -Member $member
}
catch [Microsoft.PowerShell.Commands.MemberExistsException] {
    Write-Output "$member was already a local administrator."
    return
}

# Get-LocalGroupMember fails where a member's SID has no name, as those of the two roles that joining Entra ID adds
# (https://github.com/PowerShell/PowerShell/issues/2996). That the group takes no one twice shows who is in it.
$isMember = $false
try {
    Add-LocalGroupMember -SID $administrators -Member $member
}
catch [Microsoft.PowerShell.Commands.MemberExistsException] {
    $isMember = $true
}
if (-not $isMember) {
    throw "$member was added to the group $administrators, but is not a member of it: look for a policy that restricts the group."
}

Write-Output "$member is a local administrator."
