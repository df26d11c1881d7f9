<#
.SYNOPSIS
Lets a session take its time zone from the device that the user connects from.

.NOTES
Source: https://learn.microsoft.com/windows-365/enterprise/automated-provisioning-steps
        https://learn.microsoft.com/windows/client-management/mdm/policy-csp-admx-terminalserver#ts_time_zone
#>
[CmdletBinding()]
param()

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$path = 'HKLM:\Software\Policies\Microsoft\Windows NT\Terminal Services'
$name = 'fEnabletimezoneRedirection'

if (-not (Test-Path -LiteralPath $path)) {
    # -Force makes missing parents. On a key that exists it would delete the values in it.
    New-Item -Path $path -Force | Out-Null
}
New-ItemProperty -LiteralPath $path -Name $name -PropertyType DWord -Value 1 -Force | Out-Null

$key = Get-Item -LiteralPath $path
if ($key.GetValueKind($name) -ne 'DWord' -or $key.GetValue($name) -ne 1) {
    throw "$path\$name is not the DWORD 1 that was just written: look for a policy that sets it."
}

Write-Output 'Time zone redirection is enabled.'
