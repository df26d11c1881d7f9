<#
.SYNOPSIS
Enrolls a hybrid-joined Cloud PC in Microsoft Intune by the credential of its own Entra device: no user signs in.

.DESCRIPTION
Writes the policy "Enable automatic MDM enrollment using default Azure AD credentials" with the device credential and
starts the enrollment that the policy's scheduled task would start. The PC must be registered in Entra ID already.

.NOTES
Source: https://learn.microsoft.com/windows/client-management/enroll-a-windows-10-device-automatically-using-group-policy
        https://learn.microsoft.com/windows/win32/mdmreg/mdm-registration-constants
#>
[CmdletBinding()]
param()

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$path = 'HKLM:\SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\MDM'
$settings = @(
    @{ Name = 'AutoEnrollMDM'; Value = 1 }
    # 1 is the user's credential, 2 the device's.
    @{ Name = 'UseAADCredentialType'; Value = 2 }
)
$alreadyEnrolled = -2145910774 # 0x8018000A, MENROLL_E_DEVICE_ALREADY_ENROLLED

if (-not (Test-Path -LiteralPath $path)) {
    # -Force makes missing parents. On a key that exists it would delete the values in it.
    New-Item -Path $path -Force | Out-Null
}
foreach ($setting in $settings) {
    New-ItemProperty -LiteralPath $path -Name $setting.Name -PropertyType DWord -Value $setting.Value -Force | Out-Null

    $key = Get-Item -LiteralPath $path
    if ($key.GetValueKind($setting.Name) -ne 'DWord' -or $key.GetValue($setting.Name) -ne $setting.Value) {
        throw "$path\$($setting.Name) is not the DWORD $($setting.Value) that was just written: look for a policy that sets it."
    }
}

# Called by its name alone, a program without a console is not waited for.
$arguments = '/c', '/AutoEnrollMDMUsingAADDeviceCredential'
$enroller = Start-Process -FilePath "$env:SystemRoot\System32\DeviceEnroller.exe" -ArgumentList $arguments -Wait -PassThru
if ($enroller.ExitCode -eq $alreadyEnrolled) {
    Write-Output 'This PC was already enrolled in device management.'
    return
}
if ($enroller.ExitCode -ne 0) {
    $code = '0x{0:X8}' -f $enroller.ExitCode
    throw "DeviceEnroller.exe could not enroll this PC by its device credential: it ended with exit code $code."
}

Write-Output 'This PC enrolls in device management by its device credential.'
