<#
.SYNOPSIS
Installs the Azure Virtual Desktop agent, which registers the Cloud PC as a session host of a host pool.

.DESCRIPTION
An installer runs only if Microsoft has signed it: what an address serves may be replaced, and this runs as SYSTEM.

.PARAMETER RegistrationToken
The host pool's registration token. It is a secret: it goes to the agent by the registry, and is never printed. On the
installer's command line every process could read it, and command lines are logged.

.NOTES
Source: https://learn.microsoft.com/azure/virtual-desktop/add-session-hosts-host-pool
        https://learn.microsoft.com/troubleshoot/azure/virtual-desktop/troubleshoot-agent
        https://learn.microsoft.com/powershell/module/microsoft.powershell.security/get-authenticodesignature
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [ValidateNotNullOrEmpty()]
    [string]$RegistrationToken
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
# Windows PowerShell slows a download down many times over to draw its progress.
$ProgressPreference = 'SilentlyContinue'

$agentUri = 'https://query.prod.cms.rt.microsoft.com/cms/api/am/binary/RWrmXv'
$bootLoaderUri = 'https://query.prod.cms.rt.microsoft.com/cms/api/am/binary/RWrxrH'
$agentKey = 'HKLM:\SOFTWARE\Microsoft\RDInfraAgent'
$bootLoaderService = 'RDAgentBootLoader'

function Install-Msi {
    param([string]$Uri)

    $folder = Join-Path -Path $env:TEMP -ChildPath ([guid]::NewGuid())
    New-Item -Path $folder -ItemType Directory | Out-Null
    try {
        $msi = Join-Path -Path $folder -ChildPath 'installer.msi'
        Invoke-WebRequest -Uri $Uri -OutFile $msi -UseBasicParsing
        $signature = Get-AuthenticodeSignature -LiteralPath $msi
        if ($signature.Status -ne 'Valid') {
            throw "The installer from $Uri has no valid signature: $($signature.Status)."
        }
        $signer = $signature.SignerCertificate.Subject
        if ($signer -notmatch '(^|, )CN=Microsoft Corporation(,|$)') {
            throw "The installer from $Uri is signed by $signer, not by Microsoft Corporation."
        }
        $arguments = '/i', "`"$msi`"", '/quiet', '/norestart'
        $installer = Start-Process -FilePath 'msiexec.exe' -ArgumentList $arguments -Wait -PassThru
        # 3010 is success that asks for a restart.
        if ($installer.ExitCode -notin 0, 3010) {
            throw "The installer from $Uri ended with exit code $($installer.ExitCode)."
        }
    }
    finally {
        Remove-Item -LiteralPath $folder -Recurse -Force -ErrorAction SilentlyContinue
    }
}

$hasAgent = Test-Path -LiteralPath $agentKey
if ($hasAgent -and (Get-Item -LiteralPath $agentKey).GetValue('IsRegistered') -eq 1) {
    Write-Output 'The Azure Virtual Desktop agent was already registered.'
    return
}

if (-not $hasAgent) {
    Install-Msi -Uri $agentUri
    if (-not (Test-Path -LiteralPath $agentKey)) {
        throw "The agent's installer reported success, but $agentKey does not exist."
    }
}
# Where an earlier run got this far its token may have expired since.
Set-ItemProperty -LiteralPath $agentKey -Name 'RegistrationToken' -Value $RegistrationToken
Set-ItemProperty -LiteralPath $agentKey -Name 'IsRegistered' -Value 0

if (Get-Service -Name $bootLoaderService -ErrorAction SilentlyContinue) {
    Restart-Service -Name $bootLoaderService
}
else {
    Install-Msi -Uri $bootLoaderUri
}

if (-not (Get-Service -Name $bootLoaderService -ErrorAction SilentlyContinue)) {
    throw "The boot loader's installer reported success, but there is no service $bootLoaderService."
}

Write-Output 'The Azure Virtual Desktop agent is installed and registers this PC.'
