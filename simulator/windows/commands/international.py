"""Cmdlets over display languages and regional formats: the modules LanguagePackManagement and International.

Sources: https://learn.microsoft.com/powershell/module/languagepackmanagement and .../module/international
"""

from collections.abc import Sequence

from simulator.windows.cmdlets import SWITCH, Call, Parameter, cmdlet
from simulator.windows.values import PSObject, Value

# fmt: off
LANGUAGE_PACKS = (
    "ar-SA", "bg-BG", "cs-CZ", "da-DK", "de-DE", "el-GR", "en-GB", "en-US", "es-ES", "es-MX", "et-EE", "fi-FI",
    "fr-CA", "fr-FR", "he-IL", "hr-HR", "hu-HU", "it-IT", "ja-JP", "ko-KR", "lt-LT", "lv-LV", "nb-NO", "nl-NL",
    "pl-PL", "pt-BR", "pt-PT", "ro-RO", "ru-RU", "sk-SK", "sl-SI", "sr-Latn-RS", "sv-SE", "th-TH", "tr-TR", "uk-UA",
    "zh-CN", "zh-TW",
)
# fmt: on
"""The languages that Windows 11 has language packs for.

Source: https://learn.microsoft.com/windows-hardware/manufacture/desktop/available-language-packs-for-windows
"""

_INSTALLED = "Microsoft.LanguagePackManagement.Powershell.Commands.InstalledLanguage"
_LANGUAGE = Parameter("Language", mandatory=True, position=0)


def _installed(call: Call) -> list[Value]:
    return [
        PSObject(_INSTALLED, {"LanguageId": tag, "LanguagePacks": "LpCab", "LanguageFeatures": "BasicTyping"})
        for tag in call.guest.languages
    ]


def _known(call: Call, parameter: str) -> str:
    """Return a language tag as Windows writes it."""
    wanted = call.text(parameter)
    for tag in LANGUAGE_PACKS:
        if tag.lower() == wanted.lower():
            return tag
    raise call.failure(f"The language tag '{wanted}' is not valid or not supported.", "System.ArgumentException")


@cmdlet("Get-InstalledLanguage")
def get_installed_language(call: Call) -> Sequence[Value]:
    """Return the installed languages."""
    return _installed(call)


@cmdlet("Install-Language", _LANGUAGE, Parameter("CopyToSettings", SWITCH))
def install_language(call: Call) -> Sequence[Value]:
    """Install a language and, if asked, make it the one of the system and of new users."""
    tag = _known(call, "Language")
    if "language-pack" in call.guest.defects:
        raise call.failure(f"Failed to install language {tag}. Error code: 0x80072EE7.")
    if tag not in call.guest.languages:
        call.guest.languages.append(tag)
    if call.flag("CopyToSettings"):
        call.guest.language_settings |= {"SystemPreferredUILanguage": tag, "SystemLocale": tag, "NewUser": tag}
    return _installed(call)


@cmdlet("Get-SystemPreferredUILanguage")
def get_system_preferred_ui_language(call: Call) -> Sequence[Value]:
    """Return the display language that was set for the system, in force or not."""
    return [call.guest.language_settings["SystemPreferredUILanguage"]]


@cmdlet("Set-SystemPreferredUILanguage", _LANGUAGE)
def set_system_preferred_ui_language(call: Call) -> Sequence[Value]:
    """Set the display language of the system, which must be installed."""
    tag = _known(call, "Language")
    if tag not in call.guest.languages:
        raise call.failure(f"Language {tag} is not installed.", "System.ArgumentException")
    call.guest.language_settings["SystemPreferredUILanguage"] = tag
    return []


@cmdlet("Set-WinSystemLocale", Parameter("SystemLocale", mandatory=True, position=0))
def set_win_system_locale(call: Call) -> Sequence[Value]:
    """Set the locale for programs that do not know Unicode."""
    call.guest.language_settings["SystemLocale"] = _known(call, "SystemLocale")
    return []


@cmdlet("Set-WinUILanguageOverride", _LANGUAGE)
def set_win_ui_language_override(call: Call) -> Sequence[Value]:
    """Set the display language of the present account."""
    call.guest.language_settings["UILanguageOverride"] = _known(call, "Language")
    return []


@cmdlet(
    "Set-WinUserLanguageList",
    Parameter("LanguageList", mandatory=True, position=0),
    Parameter("Force", SWITCH),
)
def set_win_user_language_list(call: Call) -> Sequence[Value]:
    """Set the language of the present account; here a list has one language."""
    tag = _known(call, "LanguageList")
    if not call.flag("Force"):
        raise call.failure(
            "Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available."
        )
    call.guest.language_settings["UserLanguageList"] = tag
    return []


@cmdlet("Set-Culture", Parameter("CultureInfo", mandatory=True, position=0))
def set_culture(call: Call) -> Sequence[Value]:
    """Set the regional format of the present account."""
    call.guest.language_settings["Culture"] = _known(call, "CultureInfo")
    return []


@cmdlet(
    "Copy-UserInternationalSettingsToSystem",
    Parameter("WelcomeScreen", "System.Boolean", mandatory=True),
    Parameter("NewUser", "System.Boolean", mandatory=True),
)
def copy_user_international_settings_to_system(call: Call) -> Sequence[Value]:
    """Copy the language of the present account to the welcome screen and to new users."""
    settings = call.guest.language_settings
    for target in ("WelcomeScreen", "NewUser"):
        if call.flag(target):
            settings[target] = settings["UILanguageOverride"]
    return []
