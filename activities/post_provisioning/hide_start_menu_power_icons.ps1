<#
.SYNOPSIS
Hides the power icons of the Start menu and the sign-in screen: a Cloud PC that its user has shut down stays off.

.NOTES
Source: https://learn.microsoft.com/windows-365/enterprise/automated-provisioning-steps
        https://learn.microsoft.com/windows/client-management/mdm/policy-csp-start#hideshutdown
#>
[CmdletBinding()]
param()

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$settings = @(
    @{ Path = 'HKLM:\Software\Microsoft\PolicyManager\default\Start\HideShutDown'; Name = 'value'; Value = 1 }
    @{ Path = 'HKLM:\Software\Microsoft\Windows\CurrentVersion\Policies\System'; Name = 'ShutDownWithoutLogon'; Value = 0 }
)

foreach ($setting in $settings) {
    if (-not (Test-Path -LiteralPath $setting.Path)) {
        # -Force makes missing parents. On a key that exists it would delete the values in it.
        New-Item -Path $setting.Path -Force | Out-Null
    }
    New-ItemProperty -LiteralPath $setting.Path -Name $setting.Name -PropertyType DWord -Value $setting.Value -Force | Out-Null

    $key = Get-Item -LiteralPath $setting.Path
    if ($key.GetValueKind($setting.Name) -ne 'DWord' -or $key.GetValue($setting.Name) -ne $setting.Value) {
        throw "$($setting.Path)\$($setting.Name) is not the DWORD $($setting.Value) that was just written: look for a policy that sets it."
    }
}

Write-Output 'The power icons are hidden.'
