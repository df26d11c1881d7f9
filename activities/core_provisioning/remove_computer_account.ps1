<#
.SYNOPSIS
Deletes this Cloud PC's own computer account from Active Directory, with the account that joins computers to the domain.

.DESCRIPTION
Needs no module: it speaks LDAP by the classes of .NET. A join that failed can have left an account behind, so a PC that
is in no domain looks for one too, as far as it reaches the domain.

.PARAMETER DomainName
Fully qualified name of the domain, such as corp.contoso.com.

.PARAMETER UserName
The account that joins computers to the domain, as user principal name.

.PARAMETER Password
That account's password. It is a secret: it goes to the domain controller, and is never printed.

.NOTES
Source: https://learn.microsoft.com/dotnet/api/system.directoryservices.directorysearcher.findone
        https://learn.microsoft.com/dotnet/api/system.directoryservices.directoryentry.deletetree
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [ValidateNotNullOrEmpty()]
    [string]$DomainName,

    [Parameter(Mandatory = $true)]
    [ValidateNotNullOrEmpty()]
    [string]$UserName,

    [Parameter(Mandatory = $true)]
    [ValidateNotNullOrEmpty()]
    [string]$Password
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$computer = $env:COMPUTERNAME
$isInDomain = [bool]((dsregcmd.exe /status) -match 'DomainJoined\s*:\s*YES')

$root = New-Object -TypeName System.DirectoryServices.DirectoryEntry -ArgumentList "LDAP://$DomainName", $UserName, $Password
# The account of a computer is named as the computer, with a dollar sign.
$filter = '(&(objectCategory=computer)(sAMAccountName={0}$))' -f $computer
$searcher = New-Object -TypeName System.DirectoryServices.DirectorySearcher -ArgumentList $root, $filter

try {
    $found = $searcher.FindOne()
}
catch {
    if ($isInDomain) {
        throw "$UserName cannot look for the account of $computer in ${DomainName}: $($_.Exception.Message)"
    }
    # The join has failed for the same reason, most likely, and then it has made no account.
    Write-Output "$computer is in no domain, and $UserName cannot look for its account in ${DomainName}: $($_.Exception.Message)"
    return
}
if ($null -eq $found) {
    Write-Output "$computer has no account in $DomainName."
    return
}

# What lies below the account, such as BitLocker recovery keys, goes with it.
try {
    $found.GetDirectoryEntry().DeleteTree()
}
catch {
    throw "$UserName cannot delete $($found.Path): $($_.Exception.Message)"
}
if ($null -ne $searcher.FindOne()) {
    throw "$($found.Path) was deleted, but is still there."
}

Write-Output "The account of $computer is deleted from $DomainName."
