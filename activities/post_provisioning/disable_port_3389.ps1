<#
.SYNOPSIS
Closes port 3389 to the network. The user's connection goes out from the Cloud PC and needs no inbound port.

.DESCRIPTION
A Block rule of Windows Firewall beats every rule that allows, those that are made later too. The Remote Desktop
service stays as it is, for sessions run in it.

.NOTES
Source: https://learn.microsoft.com/windows-365/enterprise/automated-provisioning-steps
        https://learn.microsoft.com/powershell/module/netsecurity/new-netfirewallrule
#>
[CmdletBinding()]
param()

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

foreach ($protocol in 'TCP', 'UDP') {
    $rule = @{
        Name      = "CloudPC-Block-3389-$protocol-In"
        Direction = 'Inbound'
        Action    = 'Block'
        Enabled   = 'True'
        Profile   = 'Any'
        Protocol  = $protocol
        LocalPort = '3389'
    }
    if (Get-NetFirewallRule -Name $rule.Name -ErrorAction SilentlyContinue) {
        Set-NetFirewallRule @rule
    }
    else {
        New-NetFirewallRule @rule -DisplayName "Cloud PC: block port 3389 ($protocol-In)" | Out-Null
    }

    # The active store holds what is in force: a policy can shut out local rules.
    $active = Get-NetFirewallRule -Name $rule.Name -PolicyStore ActiveStore
    $filter = $active | Get-NetFirewallPortFilter
    $isRule = $active.Enabled -eq 'True' -and $active.Direction -eq 'Inbound' -and $active.Action -eq 'Block'
    if (-not $isRule -or $filter.Protocol -ne $protocol -or $filter.LocalPort -ne '3389') {
        throw "The firewall rule $($rule.Name) is not in force as it was written: look for a policy that sets firewall rules."
    }
}

$off = @(Get-NetFirewallProfile -PolicyStore ActiveStore | Where-Object { $_.Enabled -ne 'True' })
if ($off.Count -gt 0) {
    throw "Windows Firewall is off for the network profile $($off.Name -join ', '), so its rules block nothing there."
}

Write-Output 'Port 3389 is closed to inbound connections.'
