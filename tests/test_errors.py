"""How Azure and Graph failures become transient or terminal."""

import html
import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from azure.core.exceptions import ServiceRequestError
from azure.identity.aio import DefaultAzureCredential
from temporalio.exceptions import ApplicationError

from activities.users import Users
from cloud.clients import CloudClients
from cloud.errors import retry_after
from cloud.execution.context import confide
from cloud.secrets import Secrets
from cloud.settings import DomainSecret
from contract.errors import FailureDetails
from contract.users import FindUserInput
from models.azure_network_connection import ActiveDirectoryDomain, SecretReference
from models.validation import MAX_MESSAGE, bounded
from simulator.faults import Fault
from simulator.server import SimulatorServer
from tests.attempt import inside_boundary


async def failure_of(call: Any) -> ApplicationError:
    """Run something inside the activity boundary and return what it lets out."""
    with pytest.raises(ApplicationError) as failed:
        await inside_boundary(call)
    return failed.value


@pytest.mark.parametrize(
    ("status", "code", "message", "headers", "retried", "delay"),
    [
        (429, "OperationNotAllowed", "too many requests", {"Retry-After": "7"}, True, timedelta(seconds=7)),
        (409, "OperationNotAllowed", "another operation is in progress", {}, True, None),
        (409, "OperationNotAllowed", "exceeding approved standardDASv5Family Cores quota", {}, False, None),
        (400, "NicReservedForAnotherVm", "reserved for 180 seconds", {}, True, None),
        (409, "Conflict", "busy", {}, True, None),
        (403, "AuthorizationFailed", "no", {}, False, None),
        (409, "SkuNotAvailable", "no", {}, False, None),
        (503, "ServiceUnavailable", "later", {"retry-after-ms": "250"}, True, timedelta(milliseconds=250)),
        (500, "InternalServerError", "oops", {}, True, None),
    ],
)
async def test_arm_failures(
    simulator: SimulatorServer,
    clients: CloudClients,
    status: int,
    code: str,
    message: str,
    headers: dict[str, str],
    retried: bool,
    delay: timedelta | None,
) -> None:
    simulator.cloud.faults.add(Fault("GET", "virtualMachines", code, message, status=status, headers=headers))

    failed = await failure_of(lambda: clients.resource_groups.get().compute.virtual_machines.get("rg-cloud-pcs", "pc"))

    assert (failed.type, failed.non_retryable, failed.next_retry_delay) == (code, not retried, delay)
    details = failed.details[0]
    assert isinstance(details, FailureDetails) and details.attempts == 1 and details.remedy


@pytest.mark.parametrize(
    ("status", "code", "retried"),
    [
        (429, "TooManyRequests", True),
        (409, "Directory_ConcurrencyViolation", True),
        (403, "Authorization_RequestDenied", False),
        (400, "Request_BadRequest", False),
        (504, "UnknownError", True),
    ],
)
async def test_graph_failures(
    simulator: SimulatorServer, clients: CloudClients, status: int, code: str, retried: bool
) -> None:
    simulator.cloud.faults.add(Fault("GET", "/users/", code, status=status))

    failed = await failure_of(lambda: Users(clients).find_user(FindUserInput(user="ada@contoso.com")))

    assert (failed.type, failed.non_retryable) == (code, not retried)


@pytest.mark.parametrize("user", ["nobody@contoso.com", "00000000-0000-0000-0000-000000000000"])
async def test_unknown_user(clients: CloudClients, user: str) -> None:
    failed = await failure_of(lambda: Users(clients).find_user(FindUserInput(user=user)))
    assert (failed.type, failed.non_retryable) == ("UserNotFound", True)


async def test_disabled_user(clients: CloudClients) -> None:
    failed = await failure_of(lambda: Users(clients).find_user(FindUserInput(user="alan@contoso.com")))
    assert (failed.type, failed.non_retryable) == ("UserDisabled", True)


@pytest.mark.parametrize("error", [ServiceRequestError("refused"), httpx.ConnectError("refused"), TimeoutError()])
async def test_broken_connections_are_transient(error: Exception) -> None:
    async def call() -> None:
        raise error

    assert not (await failure_of(call)).non_retryable


def test_messages_are_bounded_and_in_one_line() -> None:
    assert bounded("a\n  b") == "a b"
    assert len(bounded("x" * 5000)) == MAX_MESSAGE


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({}, None),
        ({"Retry-After": "3"}, timedelta(seconds=3)),
        ({"retry-after-ms": "3"}, timedelta(milliseconds=3)),
        ({"Retry-After": "Wed, 25 Nov 2015 07:28:00 GMT"}, timedelta(0)),
        ({"Retry-After": "soon"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], delay: timedelta | None) -> None:
    assert retry_after(headers) == delay


@pytest.mark.parametrize(
    ("status", "content", "retried"),
    [
        (429, "Too Many Requests", True),
        (503, {"error": "temporarily_unavailable", "error_description": "AADSTS90033: A transient error."}, True),
        (401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."}, False),
    ],
    ids=["throttled", "busy", "refused"],
)
async def test_sign_in_failures(
    simulator: SimulatorServer, clients: CloudClients, status: int, content: Any, retried: bool
) -> None:
    simulator.cloud.faults.add(Fault("POST", "/oauth2/v2.0/token$", status=status, content=content, times=9))
    async with DefaultAzureCredential(retry_total=0) as credential:
        scope = f"{simulator.cloud.base_url}/.default"
        failed = await failure_of(lambda: credential.get_token(scope))
    assert failed.non_retryable is not retried and "cannot sign in" in failed.message


@pytest.mark.parametrize(
    "written",
    [
        'Pa"ss\\w\u00f6rd<1>',
        json.dumps('Pa"ss\\w\u00f6rd<1>'),
        html.escape('Pa"ss\\w\u00f6rd<1>'),
        quote('Pa"ss\\w\u00f6rd<1>', safe=""),
        'Pa""ss\\w\u00f6rd<1>',
    ],
    ids=["plain", "JSON", "XML", "URL", "quoted twice"],
)
async def test_a_secret_is_hidden_however_it_is_written(written: str) -> None:
    async def fails() -> None:
        confide('Pa"ss\\w\u00f6rd<1>')
        raise OSError(f"the guest said {written} and no more")

    failed = await failure_of(fails)
    assert failed.message in ("the guest said … and no more", 'the guest said "…" and no more')


async def test_an_empty_secret_is_refused_and_hides_nothing() -> None:
    reference = SecretReference(environment_variable="CLOUD_PC_EMPTY")
    domain = ActiveDirectoryDomain(name="b.c", username="join@b.c", password=reference, organizational_unit=None)
    allowed = DomainSecret(secret="CLOUD_PC_EMPTY", domain="b.c", account="join@b.c")

    async def fails() -> None:
        secrets = Secrets(None, {"CLOUD_PC_EMPTY": "  "}, [allowed])  # type: ignore[arg-type] - no Key Vault is asked
        await secrets.password_of(domain)

    assert (await failure_of(fails)).type == "SecretNotSet"

    async def says() -> None:
        confide("")
        raise OSError("joined corp")

    assert (await failure_of(says)).message == "joined corp"
