<#
.SYNOPSIS
Tells Microsoft Teams that it runs on a virtual desktop, so that calls are optimized for one.

.NOTES
Source: https://learn.microsoft.com/windows-365/enterprise/automated-provisioning-steps
        https://learn.microsoft.com/azure/virtual-desktop/teams-on-avd
#>
[CmdletBinding()]
param()

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$path = 'HKLM:\Software\Microsoft\Teams'
$name = 'IsWVDEnvironment'

if (-not (Test-Path -LiteralPath $path)) {
    # -Force makes missing parents. On a key that exists it would delete the values in it.
    New-Item -Path $path -Force | Out-Null
}
New-ItemProperty -LiteralPath $path -Name $name -PropertyType DWord -Value 1 -Force | Out-Null

$key = Get-Item -LiteralPath $path
if ($key.GetValueKind($name) -ne 'DWord' -or $key.GetValue($name) -ne 1) {
    throw "$path\$name is not the DWORD 1 that was just written: look for a policy that sets it."
}

Write-Output 'Teams runs in VDI mode.'
