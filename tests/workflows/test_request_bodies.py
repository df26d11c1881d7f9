"""What the bodies of requests promise for the security of a machine, as the simulated cloud received them."""

import asyncio
import base64
import json
import math
import re
from collections import Counter
from typing import Any

import pytest

from models.cloud_pc import CloudPcStatus
from simulator.active_directory import JOIN_PASSWORD
from simulator.server import Exchange, SimulatorServer
from tests.workflows.conftest import Lab, connection, joining


@pytest.fixture(params=[1000], ids=["cached"])
def max_cached_workflows(request: pytest.FixtureRequest) -> int:
    """No workflow code is looked at here."""
    return request.param


class Bodies:
    """The bodies of PUT requests, by their paths."""

    def __init__(self, simulator: SimulatorServer) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        simulator.observer = self._observe

    def _observe(self, exchange: Exchange) -> None:
        if exchange.method == "PUT":
            self.sent.append((exchange.path, json.loads(exchange.request_body)))

    def of(self, path: str) -> list[dict[str, Any]]:
        """The bodies that were put to paths which end so."""
        found = [body for sent, body in self.sent if re.search(f"{path}$", sent)]
        assert found, path
        return found


@pytest.fixture
def bodies(simulator: SimulatorServer) -> Bodies:
    """What the worker puts."""
    return Bodies(simulator)


async def test_a_machine_is_made_as_promised(lab: Lab, bodies: Bodies) -> None:
    pc = await lab.provisioned()
    assert pc.status == CloudPcStatus.PROVISIONED

    [machine] = bodies.of("virtualMachines/[^/]+")
    properties = machine["properties"]
    assert machine["identity"] == {"type": "SystemAssigned"}
    assert properties["securityProfile"] == {
        "securityType": "TrustedLaunch",
        "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
    }
    disk = properties["storageProfile"]["osDisk"]
    assert (disk["createOption"], disk["deleteOption"]) == ("FromImage", "Delete")
    assert disk["managedDisk"] == {"storageAccountType": "Premium_LRS"}
    [interface] = properties["networkProfile"]["networkInterfaces"]
    assert interface["properties"] == {"primary": True, "deleteOption": "Delete"}
    windows = properties["osProfile"]["windowsConfiguration"]
    assert windows["enableAutomaticUpdates"] and "winRM" not in windows
    assert "customData" not in properties["osProfile"]

    [nic] = bodies.of("networkInterfaces/[^/]+")
    [configuration] = nic["properties"]["ipConfigurations"]
    assert set(configuration["properties"]) == {"primary", "privateIPAllocationMethod", "subnet"}, "no public address"
    assert set(nic["properties"]) == {"ipConfigurations"}, "no forwarding"

    [group] = bodies.of("networkSecurityGroups/[^/]+")
    [rule] = group["properties"]["securityRules"]
    everything = ("sourceAddressPrefix", "sourcePortRange", "destinationAddressPrefix", "destinationPortRange")
    assert rule["properties"] == {
        "access": "Deny",
        "direction": "Inbound",
        "priority": 4096,
        "protocol": "*",
        **dict.fromkeys(everything, "*"),
    }
    [network] = bodies.of("virtualNetworks/[^/]+")
    [subnet] = network["properties"]["subnets"]
    assert subnet["properties"]["defaultOutboundAccess"] is False
    assert subnet["properties"]["networkSecurityGroup"]["id"].endswith("/networkSecurityGroups/nsg-cloud-pc-westeurope")
    assert subnet["properties"]["natGateway"]["id"].endswith("/natGateways/nat-cloud-pc-westeurope")


async def test_every_machine_has_a_password_of_its_own_that_nobody_guesses(lab: Lab, bodies: Bodies) -> None:
    handles = [await lab.start() for _ in range(6)]
    await asyncio.gather(*(lab.settled(handle) for handle in handles))
    machines = bodies.of("virtualMachines/[^/]+")
    passwords = [machine["properties"]["osProfile"]["adminPassword"] for machine in machines]
    assert len(set(passwords)) == len(passwords) >= 6
    for password in passwords:
        # What Azure asks for: 12 to 123 characters, three of four kinds.
        assert 32 <= len(password) <= 123
        assert all(re.search(kind, password) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    # Apart from what they begin with alike, they have what chance would give them.
    begin = next(at for at, letters in enumerate(zip(*passwords, strict=True)) if len(set(letters)) > 1)
    letters = Counter("".join(password[begin:] for password in passwords))
    entropy = -sum(n / letters.total() * math.log2(n / letters.total()) for n in letters.values())
    assert begin <= 8 and (min(map(len, passwords)) - begin) * entropy > 128


@pytest.mark.usefixtures("join_password")
async def test_secrets_are_in_protected_fields_only(lab: Lab, bodies: Bodies) -> None:
    handle = await lab.start(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    assert (await lab.settled(handle)).status == CloudPcStatus.PROVISIONED

    [join] = bodies.of("extensions/JsonADDomainExtension")
    assert join["properties"].pop("protectedSettings") == {"Password": JOIN_PASSWORD}
    [agent] = bodies.of("runCommands/install-avd-agent")
    [token] = agent["properties"].pop("protectedParameters")
    assert token["name"] == "RegistrationToken" and len(token["value"]) > 20
    # Wherever else they stand is shown to whoever may read the resource.
    rest = json.dumps(bodies.sent)
    assert JOIN_PASSWORD not in rest and token["value"] not in rest


@pytest.mark.usefixtures("join_password")
async def test_what_resumes_an_operation_has_no_request_in_it(
    lab: Lab, bodies: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token of an operation is heartbeated; azure-core's own form of it is not ours to choose."""
    held: list[str] = []
    monkeypatch.setattr("cloud.arm.operations._hold", lambda *details: held.extend(details))
    handle = await lab.start(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    assert (await lab.settled(handle)).status == CloudPcStatus.PROVISIONED
    [machine] = bodies.of("virtualMachines/[^/]+")
    [agent] = bodies.of("runCommands/install-avd-agent")
    secrets = {
        JOIN_PASSWORD,
        machine["properties"]["osProfile"]["adminPassword"],
        agent["properties"]["protectedParameters"][0]["value"],
    }
    read = [text for token in held if (text := _decoded(token))]
    assert any("JsonADDomainExtension" in text for text in read) and any("install-avd-agent" in text for text in read)
    for text in read:
        assert not [secret for secret in secrets if secret in text]
        assert "adminPassword" not in text and "protectedSettings" not in text and "protectedParameters" not in text


def _decoded(token: str) -> str:
    """Return a token with what is encoded in it, or nothing where this is none."""
    try:
        outer = base64.b64decode(token, validate=True)
    except ValueError:
        return ""
    state = json.loads(outer)
    inner = base64.b64decode(state.get("data", state).get("response", {}).get("content", "")).decode()
    return outer.decode() + inner
