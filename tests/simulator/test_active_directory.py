"""The simulated domain: how machines join it, become hybrid devices, enrol, and are taken away again."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud.clients import CloudClients
from simulator.active_directory import DOMAIN, JOIN_PASSWORD, JOIN_USER, Computer
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.cloud import SUBSCRIPTION_ID
from simulator.directory import DEVICE_JOIN_TASK_SECONDS, SYNCHRONIZATION_SECONDS
from simulator.server import SimulatorServer
from simulator.windows.guest import Guest

from .arm import Arm, interface_body, machine_body, refusal

UNIT = "OU=Cloud PCs,DC=corp,DC=contoso,DC=com"
SUBNET_ID = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-corp"
    "/subnets/snet-cloud-pcs"
)
SCRIPTS = Path(__file__).parents[2] / "activities" / "core_provisioning"


@pytest.fixture
def arm(simulator: SimulatorServer, clients: CloudClients) -> Arm:
    """A simulated Resource Manager with clients for it."""
    return Arm(simulator.cloud, clients)


async def machine(arm: Arm, name: str = "CPC-1") -> Guest:
    """Make a machine in the customer's network, whose DNS server is the domain controller."""
    interfaces, machines = arm.clients.network.network_interfaces, arm.clients.compute.virtual_machines
    await (await interfaces.begin_create_or_update(GROUP, f"{name}-nic", interface_body(SUBNET_ID))).result()
    made = await (await machines.begin_create_or_update(GROUP, name, machine_body(name))).result()
    return arm.cloud.guests[made.id.lower()]


def join(
    arm: Arm, name: str = "CPC-1", *, password: str = JOIN_PASSWORD, case: Callable[[str], str] = str, **settings: str
) -> Any:
    """Begin to install `JsonADDomainExtension`; settings replace the usual ones, `case` is that of their names."""
    given = {"Name": DOMAIN, "OUPath": UNIT, "User": JOIN_USER, "Restart": "true", "Options": "3", **settings}
    properties = {
        "publisher": "Microsoft.Compute",
        "type": "JsonADDomainExtension",
        "typeHandlerVersion": "1.3",
        "autoUpgradeMinorVersion": True,
        "settings": {case(key): value for key, value in given.items()},
        "protectedSettings": {case("Password"): password},
    }
    body = {"location": "westeurope", "properties": properties}
    return arm.clients.compute.virtual_machine_extensions.begin_create_or_update(GROUP, name, "join-domain", body)


async def joined(arm: Arm, name: str = "CPC-1", **settings: Any) -> Guest:
    """Make a machine and join it."""
    guest = await machine(arm, name)
    await (await join(arm, name, **settings)).result()
    return guest


async def instance_view(arm: Arm, name: str = "CPC-1") -> Any:
    """Return the extension's instance view."""
    extensions = arm.clients.compute.virtual_machine_extensions
    return (await extensions.get(GROUP, name, "join-domain", expand="instanceView")).properties.instance_view


async def win32_codes(arm: Arm, **changes: Any) -> list[int]:
    """Return the Win32 errors that a join fails with, as the instance view names them."""
    error = await refusal(join(arm, **changes))
    assert error.error.code == "VMExtensionProvisioningError"
    domain = changes.get("Name", DOMAIN)
    assert f"Error message: 'Exception(s) occurred while joining Domain '{domain}''" in error.message
    view = await instance_view(arm)
    assert [(status.code, status.level.value) for status in view.statuses] == [("ProvisioningState/failed/1", "Error")]
    assert {status.code.rsplit("/", 2)[1] for status in view.substatuses} == {"failed"}
    return [int(status.message.rsplit("Error code ", 1)[1]) for status in view.substatuses]


async def settle() -> None:
    """Let everything happen that waits for no real time."""
    for _ in range(20):
        await asyncio.sleep(0)


def device(arm: Arm) -> dict[str, Any] | None:
    """Return the only Entra device, or None."""
    devices = list(arm.cloud.directory.devices.values())
    assert len(devices) <= 1
    return devices[0] if devices else None


# The domain


@pytest.mark.parametrize("case", [str, str.lower])
async def test_a_machine_joins_the_domain(arm: Arm, case: Callable[[str], str]) -> None:
    guest = await machine(arm)
    await (await join(arm, case=case)).result()
    (computer,) = arm.cloud.active_directory.computers.values()
    assert guest.domain == DOMAIN
    assert (computer.name, computer.distinguished_name) == ("CPC-1", f"CN=CPC-1,{UNIT}")
    assert (computer.created_by, computer.enabled) == (JOIN_USER, True)
    view = await instance_view(arm)
    assert view.statuses[0].message == f"Join completed for Domain '{DOMAIN}'"
    status = await arm.run("CPC-1", "status", "dsregcmd.exe /status")
    assert "DomainJoined : YES" in status.output

    await (await join(arm, Options="1")).result()
    assert len(arm.cloud.active_directory.computers) == 1, "joined is joined"


def _account(**changes: Any) -> Any:
    def change(arm: Arm) -> None:
        for name, value in changes.items():
            setattr(arm.cloud.active_directory.accounts[JOIN_USER], name, value)

    return change


def _foreign_computer(arm: Arm) -> None:
    computer = Computer("CPC-1", f"CN=CPC-1,{UNIT}", "S-1-5-21-1", "admin@corp.contoso.com", "10.0")
    arm.cloud.active_directory.computers["cpc-1"] = computer


def _unreachable(arm: Arm) -> None:
    arm.cloud.active_directory.reachable = False


def _no_quota(arm: Arm) -> None:
    arm.cloud.active_directory.machine_account_quota = 0


def _other_dns(arm: Arm) -> None:
    network = arm.cloud.resources.get(SUBNET_ID.rpartition("/subnets/")[0])
    assert network is not None
    network.properties["dhcpOptions"] = {"dnsServers": []}


def _as_it_is(arm: Arm) -> None:
    pass


@pytest.mark.parametrize(
    ("codes", "prepare", "changes"),
    [
        ([1326, 1326], _as_it_is, {"password": "wrong"}),
        ([1326, 1326], _as_it_is, {"User": "nobody@corp.contoso.com"}),
        ([1326], _as_it_is, {"password": "wrong", "Options": "1"}),
        ([1909, 1909], _account(bad_passwords=5), {}),
        ([1331, 1331], _account(enabled=False), {}),
        ([1330, 1330], _account(password_expired=True), {}),
        ([1355, 1355], _as_it_is, {"Name": "corp.contoso.org"}),
        ([1355, 1355], _other_dns, {}),
        ([53, 53], _unreachable, {}),
        ([5, 1332], _as_it_is, {"OUPath": "OU=Servers,DC=corp,DC=contoso,DC=com"}),
        ([5, 1332], _account(may_join=False), {"OUPath": ""}),
        ([2, 2], _as_it_is, {"OUPath": "OU=Nowhere,DC=corp,DC=contoso,DC=com"}),
        ([87, 87], _as_it_is, {"OUPath": "Cloud PCs"}),
        ([8557, 1332], _no_quota, {"OUPath": ""}),
        ([1332], _as_it_is, {"Options": "1"}),
        ([2732, 2732], _foreign_computer, {}),
    ],
)
async def test_a_join_fails_with_the_number_of_its_cause(
    arm: Arm, codes: list[int], prepare: Any, changes: dict[str, str]
) -> None:
    guest = await machine(arm)
    prepare(arm)
    assert await win32_codes(arm, **changes) == codes
    assert guest.domain is None


async def test_wrong_passwords_lock_the_account_out_and_a_right_one_sets_the_count_back(arm: Arm) -> None:
    await machine(arm)
    account = arm.cloud.active_directory.accounts[JOIN_USER]
    assert await win32_codes(arm, password="wrong") == [1326, 1326]
    assert account.bad_passwords == 2
    await (await join(arm)).result()
    assert account.bad_passwords == 0
    await machine(arm, "CPC-2")
    for _ in range(3):
        await refusal(join(arm, "CPC-2", password="wrong"))
    assert account.locked
    await refusal(join(arm, "CPC-2"))
    assert [status.message[-4:] for status in (await instance_view(arm, "CPC-2")).substatuses] == ["1909", "1909"]


async def test_a_failed_join_succeeds_when_its_cause_is_gone(arm: Arm) -> None:
    guest = await machine(arm)
    arm.cloud.active_directory.reachable = False
    await refusal(join(arm))
    arm.cloud.active_directory.reachable = True
    await (await join(arm)).result()
    assert guest.domain == DOMAIN
    assert not (await instance_view(arm)).substatuses


async def test_the_quota_is_for_those_who_are_no_delegates_only(arm: Arm) -> None:
    arm.cloud.active_directory.machine_account_quota = 1
    await joined(arm, "CPC-1", OUPath="")
    await joined(arm, "CPC-2")
    await machine(arm, "CPC-3")
    await refusal(join(arm, "CPC-3", OUPath=""))
    places = [computer.unit for computer in arm.cloud.active_directory.computers.values()]
    assert places == ["CN=Computers,DC=corp,DC=contoso,DC=com", UNIT]


async def test_its_maker_joins_again_with_an_account_that_exists(arm: Arm) -> None:
    await joined(arm)
    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "CPC-1")).result()
    before = asdict(arm.cloud.active_directory.computers["cpc-1"])
    assert (await joined(arm, OUPath="")).domain == DOMAIN
    assert asdict(arm.cloud.active_directory.computers["cpc-1"]) == before


async def test_an_entra_joined_machine_joins_no_domain(arm: Arm) -> None:
    guest = await machine(arm)
    await arm.join("CPC-1")
    assert guest.entra_joined
    assert await win32_codes(arm) == [50, 50]


# Microsoft Entra Connect


async def test_a_computer_becomes_a_pending_device_which_then_registers(arm: Arm) -> None:
    assert 30 * 60 < SYNCHRONIZATION_SECONDS + DEVICE_JOIN_TASK_SECONDS < 90 * 60
    guest = await joined(arm)
    await settle()
    (computer,) = arm.cloud.active_directory.computers.values()
    found = device(arm)
    assert found and found["trustType"] == "ServerAd" and found["onPremisesSyncEnabled"]
    assert found["onPremisesSecurityIdentifier"] == computer.sid
    assert found["alternativeSecurityIds"] and found["registrationDateTime"]
    assert (guest.entra_joined, guest.entra_device_id) == (True, found["deviceId"])
    assert not guest.mdm_enrolled and not arm.cloud.directory.managed_devices, "nobody enrols by itself"
    status = await arm.run("CPC-1", "status", "dsregcmd.exe /status")
    assert "AzureAdJoined : YES" in status.output


async def test_a_device_of_a_machine_that_is_gone_stays_pending(arm: Arm) -> None:
    arm.cloud.active_directory.synchronizes = False
    await joined(arm)
    await settle()
    assert device(arm) is None, "nothing appears while Entra Connect does not run"
    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "CPC-1")).result()
    arm.cloud.active_directory.synchronizes = True
    arm.cloud.active_directory.changed()
    await settle()
    found = device(arm)
    assert found and found["alternativeSecurityIds"] == [] and found["registrationDateTime"] is None
    assert list(arm.cloud.active_directory.computers) == ["cpc-1"], "the account outlives the machine"


async def test_a_computer_outside_the_synchronised_units_has_no_device(arm: Arm) -> None:
    guest = await joined(arm, OUPath="OU=Laboratory,DC=corp,DC=contoso,DC=com")
    await settle()
    assert guest.domain == DOMAIN and device(arm) is None


async def test_a_device_lives_as_long_as_the_computers_account(arm: Arm) -> None:
    await joined(arm)
    await settle()
    first = device(arm)
    assert first
    arm.cloud.directory.delete_device(first["id"])
    assert device(arm) is None
    await settle()
    again = device(arm)
    assert again and again["id"] != first["id"] and again["alternativeSecurityIds"] == []
    domain = arm.cloud.active_directory
    domain.delete_computer("CPC-1")
    assert device(arm) is not None
    await settle()
    assert device(arm) is None


# Enrolment


async def enrolled(arm: Arm, name: str) -> Any:
    """Run the product's script in the guest."""
    return await arm.run("CPC-1", name, (SCRIPTS / "enroll_by_device_credential.ps1").read_text("ascii"))


async def test_a_hybrid_machine_enrols_by_its_device_credential(arm: Arm) -> None:
    arm.cloud.active_directory.synchronizes = False
    guest = await joined(arm)
    early = await enrolled(arm, "early")
    assert early.exit_code == 1 and "it ended with exit code 0x80180002." in early.error
    arm.cloud.active_directory.synchronizes = True
    arm.cloud.active_directory.changed()
    await settle()

    first = await enrolled(arm, "first")
    assert (first.exit_code, first.error) == (0, "")
    assert first.output == "This PC enrolls in device management by its device credential."
    await settle()
    (managed,) = arm.cloud.directory.managed_devices.values()
    assert guest.mdm_enrolled and managed["azureADDeviceId"] == guest.entra_device_id
    assert managed["joinType"] == "hybridAzureADJoined" and managed["userId"] == ""

    second = await enrolled(arm, "second")
    assert (second.exit_code, second.output) == (0, "This PC was already enrolled in device management.")
    assert len(arm.cloud.directory.managed_devices) == 1


async def test_a_machine_that_is_deleted_meanwhile_does_not_enrol(arm: Arm) -> None:
    guest = await joined(arm)
    await settle()
    found = device(arm)
    assert found
    enrolling = asyncio.create_task(arm.cloud.directory.enroll_device(found))
    await asyncio.sleep(0)
    del arm.cloud.guests[guest.vm_id.lower()]
    assert await enrolling is None


async def test_the_password_is_nowhere_to_be_seen(arm: Arm, simulator: SimulatorServer) -> None:
    shown: list[bytes] = []
    simulator.observer = lambda exchange: shown.append(exchange.response_body)
    guest = await machine(arm)
    errors = [await refusal(join(arm, OUPath="Cloud PCs"))]
    await instance_view(arm)
    await (await join(arm)).result()
    await instance_view(arm)
    resources = arm.cloud.resources.list("Microsoft.Compute/virtualMachines/extensions", "")
    private = [resource.private for resource in resources]
    ledger = json.dumps(arm.cloud.ledger.as_json())
    everything = f"{shown} {errors} {asdict(guest)} {private} {ledger}"
    assert "Join completed" in everything
    assert JOIN_PASSWORD not in everything
    assert JOIN_PASSWORD not in repr(arm.cloud.active_directory.accounts) + repr(arm.cloud.key_vault)


# People


@pytest.mark.parametrize("user", ["grace@corp.contoso.com", r"CORP\grace", r"corp\GRACE"])
async def test_a_user_of_the_domain_becomes_administrator(arm: Arm, user: str) -> None:
    guest = await joined(arm)
    result = await arm.run("CPC-1", "administrator", f"Add-LocalGroupMember -SID S-1-5-32-544 -Member '{user}'")
    assert (result.exit_code, result.error) == (0, "")
    assert guest.groups[0].members[1:] == [user]


@pytest.mark.parametrize("user", ["grace@contoso.com", "ada@contoso.com", "ada@corp.contoso.com", r"CORP\ada"])
async def test_whom_the_domain_does_not_know_is_not_found(arm: Arm, user: str) -> None:
    await joined(arm)
    result = await arm.run("CPC-1", "administrator", f"Add-LocalGroupMember -SID S-1-5-32-544 -Member '{user}'")
    assert f"Principal {user} was not found." in result.error


# Demonstrations


async def test_the_domain_is_changed_from_outside(arm: Arm, simulator: SimulatorServer) -> None:
    guest = await machine(arm)
    async with httpx.AsyncClient(base_url=simulator.cloud.base_url) as http:

        async def change(**body: object) -> int:
            return (await http.post("/simulator/domain", json=body)).status_code

        assert [await change(), await change(reachable="no"), await change(forest="x")] == [400, 400, 400]
        assert await change(password="Changed-Horse-3", reachable=False, synchronizes=False) == 200
        assert await win32_codes(arm) == [53, 53]
        assert await change(reachable=True) == 200
        assert await win32_codes(arm) == [1326, 1326]
        await (await join(arm, password="Changed-Horse-3")).result()
        await settle()
        assert not guest.entra_joined
        assert await change(synchronizes=True) == 200
        await settle()
        assert guest.entra_joined
        inventory = (await http.get("/simulator/inventory")).json()
    assert [computer["name"] for computer in inventory["computers"]] == ["CPC-1"]
    assert "Changed-Horse-3" not in json.dumps(inventory)
