"""The script that installs a language, run on simulated guests, and the restart that makes it speak."""

from dataclasses import asdict
from pathlib import Path

import pytest

from cloud.clients import CloudClients
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.server import SimulatorServer
from simulator.windows.guest import Guest
from simulator.windows.powershell import ScriptResult, run_script

from .arm import Arm

SCRIPT = (Path(__file__).parents[2] / "activities" / "post_provisioning" / "install_language.ps1").read_text("ascii")
TAKES_EFFECT = "The language is de-DE from the next restart on."
ALREADY = "The language was already de-DE."


def make_guest() -> Guest:
    return Guest.create(computer_name="CPC-1", vm_id="/vm/1", disk_size_gib=128, admin_username="localadmin")


def run(guest: Guest, locale: str, script: str = SCRIPT) -> ScriptResult:
    return run_script(guest, script, {"Locale": locale})


def test_language_is_in_force_after_the_restart() -> None:
    guest = make_guest()
    assert run(guest, "de-DE") == ScriptResult(0, TAKES_EFFECT, "")
    assert (guest.locale, guest.languages) == ("en-US", ["en-US", "de-DE"])
    assert set(guest.language_settings.values()) == {"de-DE"}
    guest.restart()
    assert guest.locale == "de-DE"
    changed = asdict(guest)
    assert run(guest, "de-de") == ScriptResult(0, ALREADY.replace("DE", "de"), "")
    assert asdict(guest) == changed


def test_language_that_was_installed_only_is_set() -> None:
    guest = make_guest()
    guest.languages.append("de-DE")
    assert run(guest, "de-DE").output == TAKES_EFFECT
    assert set(guest.language_settings.values()) == {"de-DE"}


def test_what_an_earlier_run_left_undone_is_done() -> None:
    guest = make_guest()
    run(guest, "de-DE")
    guest.language_settings |= {"Culture": "en-US", "WelcomeScreen": "en-US"}
    assert run(guest, "de-DE").output == ALREADY
    assert set(guest.language_settings.values()) == {"de-DE"}


def test_the_language_of_the_image_is_nothing_to_do() -> None:
    guest = make_guest()
    before = asdict(guest)
    assert run(guest, "en-US").output == "The language was already en-US."
    assert asdict(guest) == before


def test_language_that_windows_does_not_have() -> None:
    guest = make_guest()
    before = asdict(guest)
    result = run(guest, "de-XX")
    assert result.exit_code == 1 and "'de-XX' is not valid or not supported" in result.error
    assert asdict(guest) == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    Install-Language -Language $Locale -CopyToSettings | Out-Null\n", "", "Language de-DE is not installed"),
        ("Set-SystemPreferredUILanguage -Language $Locale", "Set-SystemPreferredUILanguage en-US", "is en-US, not the"),
    ],
)
def test_change_that_does_not_stay_is_noticed(old: str, new: str, words: str) -> None:
    assert old in SCRIPT
    result = run(make_guest(), "de-DE", SCRIPT.replace(old, new, 1))
    assert result.exit_code == 1 and words in result.error


async def test_a_machine_speaks_its_language_when_it_was_restarted(
    simulator: SimulatorServer, clients: CloudClients
) -> None:
    arm = Arm(simulator.cloud, clients)
    machine = await arm.machine("pc1")
    guest = arm.cloud.guests[machine.id.lower()]
    view = await arm.run("pc1", "language", SCRIPT, parameters=[{"name": "Locale", "value": "de-DE"}])
    assert (view.exit_code, view.output, guest.locale) == (0, TAKES_EFFECT, "en-US")
    await (await arm.clients.compute.virtual_machines.begin_restart(GROUP, "pc1")).result()
    assert guest.locale == "de-DE"
