<#
.SYNOPSIS
Disables the Windows Recovery Environment, and with it "Reset this PC", after which a Cloud PC could not be reached.

.NOTES
Source: https://learn.microsoft.com/windows-365/enterprise/automated-provisioning-steps
        https://learn.microsoft.com/windows-hardware/manufacture/desktop/reagentc-command-line-options
#>
[CmdletBinding()]
param()

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

function Test-RecoveryEnvironment {
    $information = reagentc.exe /info
    if ($LASTEXITCODE -ne 0) {
        throw "reagentc.exe /info ended with exit code ${LASTEXITCODE}: $($information -join ' ')"
    }
    # The status is a translated word. The image's device path is not, and is shown only while Windows RE is enabled.
    return [bool]($information -match 'GLOBALROOT')
}

if (-not (Test-RecoveryEnvironment)) {
    Write-Output 'The Windows Recovery Environment was already disabled.'
    return
}

$answer = reagentc.exe /disable
if ($LASTEXITCODE -ne 0) {
    throw "reagentc.exe /disable ended with exit code ${LASTEXITCODE}: $($answer -join ' ')"
}
if (Test-RecoveryEnvironment) {
    throw 'reagentc.exe /disable reported success, but the Windows Recovery Environment is still enabled.'
}

Write-Output 'The Windows Recovery Environment is disabled.'
