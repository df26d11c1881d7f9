"""The join account: what it is used for, how often it signs in, and where its password never is."""

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from activities.core_provisioning.domain_join import DomainJoin
from cloud.clients import CloudClients, cloud_clients
from contract import steps
from contract.core_provisioning import JoinDomainInput
from models.azure_network_connection import AzureNetworkConnection
from models.cloud_pc import CloudPcReference, CloudPcStatus, StepState
from models.provisioning_policy import ProvisioningPolicy
from simulator.active_directory import DOMAIN, JOIN_PASSWORD, JOIN_USER
from simulator.arm.extensions import Extensions
from simulator.server import Exchange, SimulatorServer
from tests.attempt import inside_boundary
from tests.workflows.conftest import (
    BRANCH,
    HEADQUARTERS,
    JOIN_PASSWORD_VARIABLE,
    Lab,
    connection,
    entra_connection,
    joining,
    policy,
    step,
)
from worker import make_worker

pytestmark = pytest.mark.usefixtures("join_password")
EXTENSION = "/extensions/JsonADDomainExtension"


@pytest.fixture(params=[1000], ids=["cached"])
def max_cached_workflows(request: pytest.FixtureRequest) -> int:
    """A recorded history replays a hybrid life in test_replay."""
    return request.param


def extensions(lab: Lab) -> list[str]:
    """The join extensions that are on machines."""
    return [id for id in lab.exists("Microsoft.Compute/virtualMachines/extensions") if id.endswith(EXTENSION)]


@pytest.mark.parametrize("has_warnings", [False, True])
async def test_a_machine_is_handed_over_without_the_join_extension(
    lab: Lab, simulator: SimulatorServer, has_warnings: bool
) -> None:
    lab.cloud.defects["recovery-environment"] = int(has_warnings)
    handed_over: list[list[str]] = []

    def observe(exchange: Exchange) -> None:
        if exchange.method == "PATCH" and "/sessionHosts/" in exchange.path:
            handed_over.append(extensions(lab))

    simulator.observer = observe
    pc = await lab.provisioned(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])

    wanted = CloudPcStatus.PROVISIONED_WITH_WARNINGS if has_warnings else CloudPcStatus.PROVISIONED
    assert pc.status == wanted, pc.status_detail
    assert handed_over == [[]] and extensions(lab) == []
    [guest] = lab.cloud.guests.values()
    assert (guest.domain, guest.entra_device_id) == (DOMAIN, pc.entra_device_id), "it stays joined"


async def test_a_machine_that_keeps_the_join_extension_is_handed_to_nobody(lab: Lab) -> None:
    lab.fail("DELETE", f"{EXTENSION}$", "BadRequest", 400)
    pc = await lab.provisioned(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    assert pc.status == CloudPcStatus.FAILED and pc.status_detail is not None
    assert pc.status_detail.step == steps.REMOVE_DOMAIN_JOIN_EXTENSION.name
    lab.nothing_left()


async def test_the_join_extension_that_an_attempt_began_to_remove_is_gone_before_the_next_step(lab: Lab) -> None:
    lab.fail("DELETE", f"{EXTENSION}$", "InternalServerError", 500, when="after")
    pc = await lab.provisioned(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert extensions(lab) == [] and step(pc, steps.REMOVE_DOMAIN_JOIN_EXTENSION).attempts == 2
    assert len(lab.requests("PUT", EXTENSION)) == 1, "joined once more"


async def test_a_join_extension_that_is_there_in_spite_of_its_removal_is_removed_again(lab: Lab) -> None:
    lab.fail("DELETE", f"{EXTENSION}$", "NoContent", 204)
    pc = await lab.provisioned(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert extensions(lab) == [] and step(pc, steps.REMOVE_DOMAIN_JOIN_EXTENSION).attempts == 2


async def test_a_password_that_was_changed_since_locks_nobody_out(lab: Lab) -> None:
    """The life ends without a sign-in: the account stays, and the status says which."""
    handle = await lab.start(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    pc = await lab.settled(handle)
    domain = lab.cloud.active_directory
    domain.accounts[JOIN_USER].password = "changed-since-7Kq"
    before = len(lab.cloud.ledger.entries)

    await lab.signal(handle, "deprovision", b"")
    ended = await lab.ended(handle)

    assert ended.status == CloudPcStatus.NOT_PROVISIONED
    assert domain.accounts[JOIN_USER].bad_passwords == 0
    assert not [entry for entry in lab.cloud.ledger.entries[before:] if entry.method == "PUT"], "sent into the machine"
    left = step(ended, steps.REMOVE_COMPUTER_ACCOUNT)
    assert left.state == StepState.SUCCEEDED and f"{pc.computer_name} stays in {DOMAIN}" in left.detail
    assert [computer.name for computer in domain.computers.values()] == [pc.computer_name]
    lab.nothing_left()


# Refusals


def refusing(monkeypatch: pytest.MonkeyPatch, words: str, numbers: tuple[int, ...] = (), *, shows: bool = True) -> None:
    """Let the extension say this of a join that failed, in place of what it says here."""
    failed = Extensions.failed

    def say(self: Extensions, resource: Any, error: Any) -> None:
        failed(self, resource, error)
        view = resource.private["instance_view"]
        view["statuses"][0]["message"] = words
        view["substatuses"] = [{"code": "c", "message": f"ERROR - Error code {number}"} for number in numbers] or None
        if not shows:
            resource.private["instance_view"] = None

    monkeypatch.setattr(Extensions, "failed", say)


@pytest.mark.parametrize(
    ("words", "numbers", "shows", "code"),
    [
        (f"Exception(s) occurred while joining Domain '{DOMAIN}'", (), True, "adJoinCheckUnknownError"),
        (f"Exception(s) occured while joining Domain '{DOMAIN}'", (), True, "adJoinCheckUnknownError"),
        ("", (), False, "adJoinCheckUnknownError"),
        ("Exception", (1355, 1326), True, "adJoinCheckIncorrectCredentials"),
        ("Exception", (53, 1323), True, "adJoinCheckUnknownError"),
    ],
    ids=["no number", "misspelt", "no instance view", "a number that may pass besides", "an unknown one besides"],
)
async def test_a_refused_join_is_tried_once_whatever_it_is_called(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, words: str, numbers: tuple[int, ...], shows: bool, code: str
) -> None:
    monkeypatch.setenv(JOIN_PASSWORD_VARIABLE, "wrong-password-Zq7!mJ3x")
    refusing(monkeypatch, words, numbers, shows=shows)
    pc = await lab.provisioned(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    assert pc.status == CloudPcStatus.FAILED and pc.status_detail is not None
    assert (pc.status_detail.step, pc.status_detail.code) == (steps.JOIN_DOMAIN.name, code)
    assert "password" in pc.status_detail.remedy
    assert len(lab.requests("PUT", EXTENSION)) == 1
    # The extension itself tries twice.
    assert lab.cloud.active_directory.accounts[JOIN_USER].bad_passwords == 2
    lab.nothing_left()


async def test_an_extension_that_never_came_to_a_join_runs_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, "Exception of type 'System.OutOfMemoryException' was thrown.")
    lab.fail("PUT", f"{EXTENSION}$", "VMExtensionProvisioningError", when="operation", times=2)
    pc = await lab.provisioned(joining("hybridAzureADJoin", connection()), "grace@contoso.com", [connection()])
    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert len(lab.requests("PUT", EXTENSION)) == 3


# What the worker allows


VAULT = "https://vault.evil.example.net/secrets/domain-join"


@pytest.mark.parametrize(
    "changes",
    [
        {"adDomainName": "evil.example.net", "adDomainUsername": "join@evil.example.net"},
        {"adDomainName": "evil.example.net"},
        {"adDomainUsername": "join@evil.example.net"},
        {"adDomainPassword": {"environmentVariable": "CLOUD_PC_POLL_INTERVAL"}},
        {"adDomainPassword": {"keyVaultSecretId": VAULT}},
    ],
    ids=["another domain and account", "another domain", "another account", "another variable", "another vault"],
)
async def test_a_secret_goes_to_its_own_domain_and_account_only(
    lab: Lab, clients: CloudClients, changes: dict[str, Any]
) -> None:
    place = connection(**changes)
    line = f"{place.domain.password.place} {place.domain.name} {place.domain.username}"

    pc = await lab.provisioned(joining("hybridAzureADJoin", place), "grace@contoso.com", [place])

    assert pc.status == CloudPcStatus.FAILED and pc.status_detail is not None
    assert (pc.status_detail.step, pc.status_detail.code) == (steps.ATTACH_NETWORK.name, "SecretNotForThisDomain")
    assert pc.status_detail.message.endswith(line), "what is to be added, as it is written"
    assert lab.requests("PUT", "") == []
    # Nor by whoever reaches the step itself.
    with pytest.raises(ApplicationError) as refused:
        await inside_boundary(lambda: DomainJoin(clients).join_domain(_join(place)))
    assert refused.value.type == "SecretNotForThisDomain"
    assert lab.requests("PUT", "") == []


def _join(place: AzureNetworkConnection) -> JoinDomainInput:
    cloud_pc = CloudPcReference(
        cloud_pc_id="pc", policy_id="engineering", user_id="u", computer_name="CPC-1", region="westeurope"
    )
    return JoinDomainInput(cloud_pc=cloud_pc, domain=place.domain)


@pytest.mark.parametrize(
    "changes",
    [
        {"adDomainName": DOMAIN.upper(), "adDomainUsername": JOIN_USER.upper()},
        {"adDomainPassword": {"keyVaultSecretId": "{vault}/secrets/Domain-Join"}},
        {"adDomainPassword": {"keyVaultSecretId": "{vault}/secrets/domain-join/{version}"}},
    ],
    ids=["in another case", "the vault's in another case", "a version of it"],
)
async def test_a_secret_is_known_in_any_case_and_version(
    lab: Lab, clients: CloudClients, changes: dict[str, Any]
) -> None:
    version = lab.cloud.key_vault.version("domain-join") if "{version}" in json.dumps(changes) else ""
    text = json.dumps(changes).replace("{vault}", lab.cloud.key_vault_url).replace("{version}", version)
    domain = connection(**json.loads(text)).domain
    assert await clients.secrets.password_of(domain) == JOIN_PASSWORD


@pytest_asyncio.fixture
async def strict(lab: Lab, temporal_client: Client, clients: CloudClients) -> AsyncGenerator[Lab]:
    """The lab with a worker that allows nothing beside its own resource group."""
    settings = clients.settings.model_copy(update={"allowed_resources": ()})
    async with cloud_clients(settings) as made:
        own = replace(lab, clients=made, task_queue=f"{lab.task_queue}-strict")
        async with make_worker(temporal_client, made, task_queue=own.task_queue):
            yield own


_ELSEWHERE = f"{HEADQUARTERS.rpartition('/providers/')[0]}/providers/Microsoft.Compute"


@pytest.mark.parametrize(
    ("made", "place", "named"),
    [
        (joining, entra_connection(), f"{HEADQUARTERS}/subnets/snet-cloud-pcs"),
        (
            joining,
            entra_connection(
                resourceGroupId=BRANCH,
                subnetId=f"{BRANCH}/providers/Microsoft.Network/virtualNetworks/vnet-branch/subnets/snet-cloud-pcs",
            ),
            BRANCH,
        ),
        (policy(imageType="custom", imageId=f"{_ELSEWHERE}/images/golden"), None, f"{_ELSEWHERE}/images/golden"),
        (
            policy(imageType="custom", imageId=f"{_ELSEWHERE}/galleries/gallery/images/golden"),
            None,
            f"{_ELSEWHERE}/galleries/gallery/images/golden",
        ),
    ],
    ids=["subnet", "resource group", "managed image", "gallery"],
)
async def test_what_the_worker_does_not_allow_is_not_used(
    strict: Lab,
    made: ProvisioningPolicy | Callable[..., ProvisioningPolicy],
    place: AzureNetworkConnection | None,
    named: str,
) -> None:
    chosen = made if isinstance(made, ProvisioningPolicy) else made("azureADJoin", place)
    pc = await strict.provisioned(chosen, connections=[place] if place else [])
    assert pc.status == CloudPcStatus.FAILED and pc.status_detail is not None
    assert pc.status_detail.code == "ResourceNotAllowed"
    assert "CLOUD_PC_ALLOWED_RESOURCES" in pc.status_detail.message and named in pc.status_detail.message
    assert strict.exists("Microsoft.Compute/virtualMachines") == []
    assert strict.requests("PUT", "-nic") == [] or place is None
