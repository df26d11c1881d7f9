<#
.SYNOPSIS
Installs the Azure Virtual Desktop agent, which registers the Cloud PC as a session host of a host pool.

.PARAMETER RegistrationToken
The host pool's registration token. It is a secret: it goes to the installer and the agent, and is never printed.

.NOTES
Source: https://learn.microsoft.com/azure/virtual-desktop/add-session-hosts-host-pool
        https://learn.microsoft.com/troubleshoot/azure/virtual-desktop/troubleshoot-agent
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
    param(
        [string]$Uri,
        [string[]]$Property = @()
    )
    $folder = Join-Path -Path $env:TEMP -ChildPath ([guid]::NewGuid())
    New-Item -Path $folder -ItemType Directory | Out-Null
    try {
        $msi = Join-Path -Path $folder -ChildPath 'installer.msi'
        Invoke-WebRequest -Uri $Uri -OutFile $msi -UseBasicParsing
        $arguments = @('/i', "`"$msi`"", '/quiet', '/norestart') + $Property
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

if ($hasAgent) {
    # An earlier run got this far, perhaps with a token that has expired since.
    Set-ItemProperty -LiteralPath $agentKey -Name 'RegistrationToken' -Value $RegistrationToken
}
else {
    Install-Msi -Uri $agentUri -Property "REGISTRATIONTOKEN=$RegistrationToken"
}

if (Get-Service -Name $bootLoaderService -ErrorAction SilentlyContinue) {
    Restart-Service -Name $bootLoaderService
}
else {
    Install-Msi -Uri $bootLoaderUri
}

if (-not (Test-Path -LiteralPath $agentKey)) {
    throw "The agent's installer reported success, but $agentKey does not exist."
}
if (-not (Get-Service -Name $bootLoaderService -ErrorAction SilentlyContinue)) {
    throw "The boot loader's installer reported success, but there is no service $bootLoaderService."
}

Write-Output 'The Azure Virtual Desktop agent is installed and registers this PC.'
