<#
.SYNOPSIS
Makes Windows speak a language: the system, the sign-in screen and everyone who signs in for the first time.

.DESCRIPTION
Downloads the language pack where it is missing, which can take many minutes. The language is in force after the next
restart, which is left to the caller.

.PARAMETER Locale
The language and region as a BCP 47 tag, such as de-DE. Windows must have a language pack for it.

.NOTES
Source: https://learn.microsoft.com/graph/api/resources/cloudpcwindowssetting
        https://learn.microsoft.com/powershell/module/languagepackmanagement/install-language
        https://learn.microsoft.com/powershell/module/international/copy-userinternationalsettingstosystem
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [ValidateNotNullOrEmpty()]
    [string]$Locale
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

function Test-LanguagePack {
    # A language can be there in part, for typing only; its LanguagePacks are 'None' then.
    $installed = @(Get-InstalledLanguage | Where-Object { $_.LanguageId -eq $Locale -and $_.LanguagePacks -ne 'None' })
    return $installed.Count -gt 0
}

$wasInstalled = Test-LanguagePack
$wasPreferred = (Get-SystemPreferredUILanguage) -eq $Locale

if (-not $wasInstalled) {
    Install-Language -Language $Locale -CopyToSettings | Out-Null
}
Set-SystemPreferredUILanguage -Language $Locale
Set-WinSystemLocale -SystemLocale $Locale

# These are settings of the account that runs this script; from it they are copied to those that count.
Set-WinUILanguageOverride -Language $Locale
Set-WinUserLanguageList -LanguageList $Locale -Force
Set-Culture -CultureInfo $Locale
Copy-UserInternationalSettingsToSystem -WelcomeScreen $true -NewUser $true

if (-not (Test-LanguagePack)) {
    throw "Install-Language reported success, but the language pack $Locale is not installed."
}
$preferred = Get-SystemPreferredUILanguage
if ($preferred -ne $Locale) {
    throw "The preferred language of the system is $preferred, not the $Locale that was just set: look for a policy that sets it."
}

if ($wasInstalled -and $wasPreferred) {
    Write-Output "The language was already $Locale."
}
else {
    Write-Output "The language is $Locale from the next restart on."
}
