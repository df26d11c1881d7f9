"""The seeded fault plan of the simulated cloud: what it does on the wire, and that a seed always does the same."""

import asyncio
import contextlib
import contextvars
import itertools
import logging
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from cloud.clients import CloudClients
from contract.error_catalogue import find
from contract.errors import ErrorClass
from local_stack import ROOT
from simulator import directory
from simulator.arm import extensions
from simulator.arm.desktopvirtualization import register_session_host
from simulator.clock import Clock
from simulator.cloud import CLIENT_ID, CLIENT_SECRET, TENANT_ID, Cloud
from simulator.cloud import RESOURCE_GROUP as GROUP
from simulator.directory import HostnameDuplicate
from simulator.fault_plan import FOREIGN_GROUP, RATES, STORM_REQUESTS, FaultPlan
from simulator.faults import Fault, FaultKind, Moment
from simulator.ledger import ENTRY, LedgerEntry
from simulator.server import SimulatorServer

from .arm import GROUP_ID, Arm, code_of, entra_join_body, interface_body, network_id, refusal, run_command_body

_T = TypeVar("_T")

CREDENTIALS = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
TOKEN = f"/{TENANT_ID}/oauth2/v2.0/token"
WORKSPACE = f"{GROUP_ID}/providers/Microsoft.DesktopVirtualization/workspaces/desk?api-version=2024-04-03"
WORKSPACE_BODY = {"location": "westeurope", "properties": {"applicationGroupReferences": []}}
MACHINES = f"{GROUP_ID}/providers/Microsoft.Compute/virtualMachines"
SECRET = "/secrets/domain-join?api-version=7.4"
USERS = "/v1.0/users"
FOREVER = 1e9
BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError)


TESTED: dict[FaultKind, str] = {}
"""The test of each kind, by name."""
_plans: list[FaultPlan] = []


def of(*kinds: FaultKind) -> Callable[[_T], _T]:
    """Mark the test of what some kinds do; they must strike in it, and no others."""

    def mark(test: _T) -> _T:
        test.kinds = kinds  # type: ignore[attr-defined]
        TESTED.update(dict.fromkeys(kinds, test.__name__))  # type: ignore[attr-defined]
        return test

    return mark


@pytest.fixture(autouse=True)
def strikes_what_it_is_of(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Look after the test of a kind whether it struck."""
    _plans.clear()
    yield
    if kinds := getattr(request.function, "kinds", ()):
        parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
        wanted = {parameters["kind"]} if "kind" in parameters else set(kinds)
        assert {kind for plan in _plans for kind in plan.fired} == wanted


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_has_a_test_of_its_own(kind: FaultKind) -> None:
    assert kind in TESTED


@pytest.fixture
def speed() -> float:
    """So fast that nothing is waited for, and so slow that what takes minutes can be overtaken."""
    return 1000


@pytest.fixture
def cloud(simulator: SimulatorServer) -> Cloud:
    return simulator.cloud


@pytest.fixture
async def arm(simulator: SimulatorServer, clients: CloudClients) -> Arm:
    """A simulated Resource Manager with clients for it."""
    return Arm(simulator.cloud, clients)


@pytest_asyncio.fixture
async def http(simulator: SimulatorServer) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A client without a client library, with a token for Azure Resource Manager and Graph."""
    url = simulator.cloud.base_url
    async with httpx.AsyncClient(base_url=url) as client:
        client.headers["Authorization"] = await bearer(client, f"{url}/.default")
        yield client


async def bearer(client: httpx.AsyncClient, scope: str) -> str:
    answer = await client.post(TOKEN, data={**CREDENTIALS, "scope": scope})
    return f"Bearer {answer.json()['access_token']}"


def only(kind: FaultKind, rate: float = 1.0) -> dict[str, float]:
    """Return the rates with which one kind strikes and no other."""
    return {**dict.fromkeys(FaultKind, 0.0), kind: rate}


def plan_of(cloud: Cloud, kind: FaultKind, rate: float = 1.0, *, seed: int = 0, late_seconds: float = 5.0) -> FaultPlan:
    """Put a plan of one kind in force."""
    plan = FaultPlan(seed, cloud.clock, rates=only(kind, rate), late_seconds=late_seconds)
    cloud.faults.plan = plan
    _plans.append(plan)
    return plan


def code_in(answer: httpx.Response) -> str:
    """Return the code of an error object, which is as Azure Resource Manager, Graph and Key Vault write it."""
    assert answer.headers["Content-Type"].startswith("application/json")
    (error,) = answer.json().values()
    assert isinstance(error["message"], str) and error["message"]
    return error["code"]


async def until(look: Callable[[], Awaitable[_T] | _T], seconds: float = 10.0) -> _T:
    """Look until something is found, and return it."""
    async with asyncio.timeout(seconds):
        while True:
            found: Any = look()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.005)


def settled(cloud: Cloud, path: str) -> Callable[[], bool]:
    """Return what tells whether the operation of the last request to a path has ended."""
    return lambda: next(e for e in reversed(cloud.ledger.entries) if e.path.endswith(path)).end_time is not None


# What follows from a seed


def struck(
    plan: FaultPlan, method: str, path: str, moments: Sequence[Moment] = ("before", "after", "operation")
) -> Any:
    """Send a request past a plan, in a context of its own, and return the kinds that struck it."""

    def send() -> list[str]:
        entry = LedgerEntry(0, "", method, path)
        ENTRY.set(entry)
        for moment in moments:
            plan.strike(method, path, moment)
        return entry.faults

    return contextvars.copy_context().run(send)


def fresh(path: str, chance: random.Random) -> str:
    """Return a path as another run has it: with other GUIDs and another computer name."""
    tail = "".join(chance.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=5))
    return path.replace("GUID", str(uuid.UUID(int=chance.getrandbits(128)))).replace("TAIL", tail)


OPERATIONS = [
    ("PUT", "/subscriptions/GUID/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/CPC-ada-TAIL"),
    ("PUT", "/subscriptions/GUID/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/CPC-GRACE-TAIL"),
    ("PUT", "/subscriptions/GUID/resourceGroups/rg/providers/Microsoft.Network/networkInterfaces/CPC-ada-TAIL-nic"),
    ("GET", "/subscriptions/GUID/providers/Microsoft.Compute/locations/westeurope/operations/GUID"),
    ("GET", "/v1.0/devices"),
    ("DELETE", "/v1.0/devices/GUID"),
    ("GET", "/secrets/domain-join"),
]


def strikes_in_order(order: Sequence[int], run: int) -> dict[tuple[int, int], list[str]]:
    """Return what strikes the n-th time of each operation when a run sends them in this order."""
    rates: dict[str, float] = {**dict.fromkeys(FaultKind, 0.05), FaultKind.THROTTLE_STORM: 0.0}
    plan, chance, times = FaultPlan(7, Clock(), rates=rates), random.Random(run), Counter[int]()
    found: dict[tuple[int, int], list[str]] = {}
    for operation in order:
        times[operation] += 1
        method, path = OPERATIONS[operation]
        found[operation, times[operation]] = struck(plan, method, fresh(path, chance))
    return found


def test_the_same_request_meets_the_same_faults_whatever_comes_between() -> None:
    order = [number for number in range(len(OPERATIONS)) for _ in range(30)]
    first = strikes_in_order(order, 1)
    assert len({tuple(kinds) for kinds in first.values()}) > 10
    for run in (2, 3):
        random.Random(run).shuffle(order)
        assert strikes_in_order(order, run) == first


def test_two_requests_at_a_time_keep_what_strikes_each() -> None:
    """The later moments of a request are its own, though the same operation has come again meanwhile."""

    def strikes(*, together: bool) -> list[Fault | None]:
        plan = FaultPlan(3, Clock(), rates=only(FaultKind.RESET_AFTER, 0.5))
        contexts = [contextvars.copy_context() for _ in range(20)]
        both: tuple[Moment, ...] = ("before", "after")
        moments: list[tuple[contextvars.Context, Moment]] = [(c, moment) for moment in both for c in contexts]
        if not together:
            moments = [(context, moment) for context in contexts for moment in both]
        return [context.run(plan.strike, "GET", "/v1.0/users", moment) for context, moment in moments]

    apart = strikes(together=False)[1::2]
    assert strikes(together=True)[20:] == apart
    assert 0 < sum(fault is not None for fault in apart) < 20


def test_another_seed_meets_others_and_owners_do_not_share_theirs() -> None:
    def strikes(seed: int, path: str) -> list[bool]:
        plan = FaultPlan(seed, Clock(), rates=only(FaultKind.HTTP_500, 0.5))
        return [bool(struck(plan, "PUT", path)) for _ in range(30)]

    ada, grace = (f"{MACHINES}/CPC-{owner}-X7K2Q" for owner in ("ADALO", "GRACE"))
    assert strikes(1, ada) != strikes(2, ada)
    assert strikes(1, ada) != strikes(1, grace)


def test_the_usual_rates() -> None:
    """Some 140 requests, of which a tenth begins an operation, meet about ten faults."""
    fired, runs = Counter[FaultKind](), 30
    for seed in range(runs):
        plan = FaultPlan(seed, Clock())
        for operation in range(140):
            method, path = OPERATIONS[operation % len(OPERATIONS)]
            struck(plan, method, path, ("before", "after") if operation % 10 else ("before", "after", "operation"))
        fired += plan.fired
    assert 8 < fired.total() / runs < 15
    assert min(RATES.values()) > 0 and set(RATES) == set(FaultKind)


def test_a_storm_is_of_one_service_and_ends() -> None:
    plan = FaultPlan(1, Clock(), rates=only(FaultKind.THROTTLE_STORM, 0.005))
    refused = [bool(struck(plan, "GET", GROUP_ID)) for _ in range(1000)]
    lengths = [len(list(run)) for is_refused, run in itertools.groupby(refused) if is_refused]
    assert len(lengths) > 1 and all(length % STORM_REQUESTS == 0 for length in lengths[:-1])
    begun = next(seed for seed in range(1000) if struck(plan := storm(seed), "GET", GROUP_ID))
    plan = storm(begun)
    assert struck(plan, "GET", GROUP_ID)
    assert not struck(plan, "GET", "/v1.0/users") and not struck(plan, "GET", "/secrets/domain-join")
    assert struck(plan, "GET", f"{GROUP_ID}/another") == [FaultKind.THROTTLE_STORM]
    assert plan.fired == {FaultKind.THROTTLE_STORM: 1}
    plan.stop()
    assert not struck(plan, "GET", GROUP_ID)


def strikes_of(plan: FaultPlan, times: int) -> list[bool]:
    return [bool(struck(plan, "GET", USERS)) for _ in range(times)]


def storm(seed: int) -> FaultPlan:
    return FaultPlan(seed, Clock(), rates=only(FaultKind.THROTTLE_STORM, 0.01))


def test_a_correct_product_recovers_from_what_may_pass() -> None:
    """The codes are those that the catalogue calls transient, and those for good are not."""
    paths = [
        *(path for _, path in OPERATIONS[:3]),
        f"{MACHINES}/pc/extensions/join",
        f"{MACHINES}/pc/runCommands/look",
        WORKSPACE.partition("?")[0],
        "/v1.0/devices/GUID",
    ]
    classes: dict[FaultKind, set[tuple[str, ErrorClass]]] = {}
    kinds: list[tuple[FaultKind, Moment]] = [
        (FaultKind.CONFLICT, "before"),
        (FaultKind.PRINCIPAL_NOT_FOUND, "before"),
        (FaultKind.OPERATION_FAILED, "operation"),
        (FaultKind.OPERATION_FAILED_FOR_GOOD, "operation"),
        (FaultKind.CAPACITY, "operation"),
    ]
    for kind, moment in kinds:
        plan = FaultPlan(0, Clock(), rates=only(kind))
        for path in (*paths, f"{GROUP_ID}/roleAssignments/GUID"):
            for _ in range(30):
                plan.strike("PUT", path, "before") if moment != "before" else None
                fault = plan.strike("PUT", path, moment)
                if fault and path.startswith("/v1.0"):
                    assert fault.code == "Directory_ConcurrencyViolation"
                if fault:
                    status = None if moment == "operation" else fault.status
                    found = fault.code, find(fault.code, fault.message, status).error_class
                    classes.setdefault(kind, set()).add(found)
    of = {kind: {error_class for _, error_class in found} for kind, found in classes.items()}
    assert of == {
        FaultKind.CONFLICT: {ErrorClass.TRANSIENT},
        FaultKind.PRINCIPAL_NOT_FOUND: {ErrorClass.TRANSIENT},
        FaultKind.OPERATION_FAILED: {ErrorClass.TRANSIENT},
        FaultKind.OPERATION_FAILED_FOR_GOOD: {ErrorClass.TERMINAL},
        FaultKind.CAPACITY: {ErrorClass.CAPACITY},
    }
    assert len(classes[FaultKind.OPERATION_FAILED]) > 8 and len(classes[FaultKind.CONFLICT]) > 3


async def test_a_seed_on_the_wire(cloud: Cloud, http: httpx.AsyncClient) -> None:
    async def statuses(seed: int, *between: str) -> list[int]:
        plan_of(cloud, FaultKind.HTTP_500, 0.5, seed=seed)
        found: list[int] = []
        for _ in range(12):
            found.append((await http.get(USERS)).status_code)
            for path in between:
                await http.get(path)
        return found

    alone = await statuses(1)
    assert set(alone) == {200, 500}
    assert await statuses(1, WORKSPACE, SECRET, f"{USERS}/{uuid.uuid4()}") == alone
    assert await statuses(2) != alone


async def test_a_storm_on_the_wire(cloud: Cloud, http: httpx.AsyncClient) -> None:
    lasting = [True] * STORM_REQUESTS + [False] * 3
    seed = next(seed for seed in range(9999) if strikes_of(storm(seed), len(lasting)) == lasting)
    cloud.faults.plan = storm(seed)
    statuses = [(await http.get(USERS)).status_code for _ in lasting]
    assert statuses == [429 if is_refused else 200 for is_refused in lasting]


# Requests


STATUSES = {
    FaultKind.HTTP_408: (408, "RequestTimeout"),
    FaultKind.HTTP_500: (500, "InternalServerError"),
    FaultKind.HTTP_502: (502, "BadGateway"),
    FaultKind.HTTP_503: (503, "ServiceUnavailable"),
    FaultKind.HTTP_504: (504, "GatewayTimeout"),
}


@of(*STATUSES)
async def test_a_status_before_the_effect(cloud: Cloud, http: httpx.AsyncClient) -> None:
    for kind, (status, code) in STATUSES.items():
        plan = plan_of(cloud, kind)
        for answer in (await http.put(WORKSPACE, json=WORKSPACE_BODY), await http.get(USERS), await http.get(SECRET)):
            assert (answer.status_code, code_in(answer)) == (status, code)
        entry = cloud.ledger.entries[-1]
        assert (entry.status, entry.effect, entry.faults) == (status, "none", [kind])
        assert plan.fired == {kind: 3}
        token = await http.post(TOKEN, data=CREDENTIALS)
        assert token.json()["error"] == ("invalid_request" if status == 408 else "temporarily_unavailable")
        plan.stop()
    assert (await http.put(WORKSPACE, json=WORKSPACE_BODY)).status_code == 201
    assert (await http.get(USERS)).status_code == 200


@of(FaultKind.THROTTLED, FaultKind.THROTTLE_STORM)
async def test_each_service_throttles_in_its_own_words(cloud: Cloud, http: httpx.AsyncClient) -> None:
    plan_of(cloud, FaultKind.THROTTLE_STORM)
    assert (await http.get(USERS)).status_code == (await http.get(WORKSPACE)).status_code == 429
    assert (await http.get(SECRET)).status_code == 401
    plan_of(cloud, FaultKind.THROTTLED)
    group = await http.get(f"{GROUP_ID}?api-version=2021-04-01")
    assert group.status_code == 429 and group.headers["retry-after-ms"] == "10"
    assert code_in(group) == "SubscriptionRequestsThrottled"
    machine = await http.put(f"{MACHINES}/pc1?api-version=2024-07-01", json={})
    assert machine.status_code == 429 and "retry-after-ms" in machine.headers
    assert machine.json()["code"] == "OperationNotAllowed" and "error" not in machine.json()
    assert machine.json()["details"][0]["code"] == "TooManyRequests"
    users = [await http.get(USERS) for _ in range(12)]
    assert {code_in(answer) for answer in users} == {"TooManyRequests", "activityLimitReached"}
    assert {"retry-after-ms" in answer.headers for answer in users} == {True, False}
    assert code_in(await http.get(SECRET)) == "Throttled"
    token = await http.post(TOKEN, data=CREDENTIALS)
    assert (token.status_code, token.text) == (429, "Too Many Requests") and "retry-after-ms" in token.headers
    assert (await http.get("/simulator/ledger")).status_code == 200


@of(FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER, FaultKind.HALF_ANSWER)
@pytest.mark.parametrize(
    ("kind", "is_made"), [(FaultKind.RESET_BEFORE, False), (FaultKind.RESET_AFTER, True), (FaultKind.HALF_ANSWER, True)]
)
async def test_a_broken_connection(cloud: Cloud, http: httpx.AsyncClient, kind: FaultKind, *, is_made: bool) -> None:
    plan = plan_of(cloud, kind)
    with pytest.raises(BROKEN):
        await http.put(WORKSPACE, json=WORKSPACE_BODY)
    entry = cloud.ledger.entries[-1]
    assert (entry.effect, entry.faults) == ("created" if is_made else "none", [kind])
    assert entry.status == (201 if kind == FaultKind.HALF_ANSWER else 0)
    for path in (USERS, SECRET):
        with pytest.raises(BROKEN):
            await http.get(path)
    plan.stop()
    assert (await http.get(WORKSPACE)).status_code == (200 if is_made else 404)


async def test_half_an_answer(cloud: Cloud, http: httpx.AsyncClient) -> None:
    whole = (await http.get(USERS)).content
    plan_of(cloud, FaultKind.HALF_ANSWER)
    received = b""
    async with http.stream("GET", USERS) as answer:
        assert answer.status_code == 200 and answer.headers["Content-Length"] == str(len(whole))
        with pytest.raises(BROKEN):
            async for part in answer.aiter_bytes():
                received += part
    assert received == whole[: len(whole) // 2]


@of(FaultKind.LATE_ANSWER)
async def test_a_late_answer(cloud: Cloud, http: httpx.AsyncClient) -> None:
    plan_of(cloud, FaultKind.LATE_ANSWER, late_seconds=0.2)
    assert (await http.get(USERS)).elapsed.total_seconds() >= 0.2
    plan = plan_of(cloud, FaultKind.LATE_ANSWER, late_seconds=60)
    with pytest.raises(httpx.ReadTimeout):
        await http.put(WORKSPACE, json=WORKSPACE_BODY, timeout=0.3)
    await until(lambda: cloud.ledger.entries[-1].effect == "created")
    waiting = asyncio.create_task(http.get(WORKSPACE, timeout=60))
    await until(lambda: plan.fired == {FaultKind.LATE_ANSWER: 2})
    plan.stop()
    assert (await asyncio.wait_for(waiting, 10)).status_code == 200


@of(FaultKind.EXPIRED_TOKEN)
async def test_an_expired_token_is_refused_in_each_services_words(cloud: Cloud, http: httpx.AsyncClient) -> None:
    vault = await bearer(http, f"{cloud.key_vault_resource}/.default")
    plan = plan_of(cloud, FaultKind.EXPIRED_TOKEN)
    answers = [
        await http.put(WORKSPACE, json=WORKSPACE_BODY),
        await http.get(USERS),
        await http.get(SECRET, headers={"Authorization": vault}),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert [code_in(answer) for answer in answers] == [
        "ExpiredAuthenticationToken",
        "InvalidAuthenticationToken",
        "Unauthorized",
    ]
    assert all("invalid_token" in answer.headers["WWW-Authenticate"] for answer in answers)
    assert cloud.ledger.entries[-1].faults == [FaultKind.EXPIRED_TOKEN]
    plan.stop()
    assert (await http.get(USERS)).status_code == 200


@of(FaultKind.CONFLICT)
async def test_only_changes_conflict(cloud: Cloud, http: httpx.AsyncClient) -> None:
    plan_of(cloud, FaultKind.CONFLICT)
    conflict = await http.put(WORKSPACE, json=WORKSPACE_BODY)
    assert (conflict.status_code, code_in(conflict)) == (409, "Conflict")
    device = await http.delete(f"/v1.0/devices/{uuid.uuid4()}")
    assert (device.status_code, code_in(device)) == (409, "Directory_ConcurrencyViolation")
    assert (await http.get(USERS)).status_code == 200


@of(FaultKind.PRINCIPAL_NOT_FOUND)
async def test_a_principal_that_is_not_known_everywhere(cloud: Cloud, http: httpx.AsyncClient) -> None:
    plan_of(cloud, FaultKind.PRINCIPAL_NOT_FOUND)
    path = f"{GROUP_ID}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}?api-version=2022-04-01"
    answer = await http.put(path, json={})
    assert (answer.status_code, code_in(answer)) == (400, "PrincipalNotFound")


# Long-running operations


@of(FaultKind.OPERATION_FAILED)
async def test_an_operation_fails(arm: Arm) -> None:
    await arm.network()
    plan = plan_of(arm.cloud, FaultKind.OPERATION_FAILED)
    error = await refusal(arm.interface("nic"))
    assert error.error and error.error.code in ("InternalServerError", "NetworkingInternalOperationError")
    entry = arm.cloud.ledger.entries[-1]
    assert (entry.operation, entry.faults) == ("Failed", [FaultKind.OPERATION_FAILED])
    plan.stop()
    assert (await arm.interface("nic")).provisioning_state == "Succeeded"


@of(FaultKind.OPERATION_FAILED_FOR_GOOD)
async def test_a_machine_fails_for_good(arm: Arm) -> None:
    plan_of(arm.cloud, FaultKind.OPERATION_FAILED_FOR_GOOD)
    assert (await code_of(arm.machine("pc1")))[1] == "OSProvisioningClientError"
    machine = await arm.clients.compute.virtual_machines.get(GROUP, "pc1")
    assert machine.properties and machine.properties.provisioning_state == "Failed"


@of(FaultKind.OPERATION_CANCELED)
async def test_an_operation_is_canceled(arm: Arm, http: httpx.AsyncClient) -> None:
    await arm.network()
    plan_of(arm.cloud, FaultKind.OPERATION_CANCELED)
    body = interface_body(network_id("virtualNetworks", "vnet/subnets/pcs"))
    answer = await http.put(f"{network_id('networkInterfaces', 'nic')}?api-version=2024-05-01", json=body)
    await until(settled(arm.cloud, "/nic"))
    status = (await http.get(answer.headers["Azure-AsyncOperation"])).json()
    assert (status["status"], status["error"]["code"]) == ("Canceled", "OperationPreempted")
    assert arm.cloud.ledger.entries[-1].operation == "Canceled"


@of(FaultKind.OPERATION_GONE)
async def test_an_operation_is_gone_and_its_work_goes_on(arm: Arm, http: httpx.AsyncClient) -> None:
    await arm.network()
    plan = plan_of(arm.cloud, FaultKind.OPERATION_GONE)
    body = interface_body(network_id("virtualNetworks", "vnet/subnets/pcs"))
    path = f"{network_id('networkInterfaces', 'nic')}?api-version=2024-05-01"
    address = (await http.put(path, json=body)).headers["Azure-AsyncOperation"]
    assert (await http.get(address)).status_code == 404
    await until(settled(arm.cloud, "/nic"))
    plan.stop()
    assert (await http.get(address)).status_code == 404
    assert (await http.get(path)).json()["properties"]["provisioningState"] == "Succeeded"


async def test_the_ledger_tells_when_operations_end_and_which_overlap(arm: Arm, http: httpx.AsyncClient) -> None:
    await arm.machine("pc1")
    entries = arm.cloud.ledger.entries
    assert entries[-1].end_time is not None and entries[-1].end_time > entries[-1].time
    assert {entry.overlaps for entry in entries} == {None}
    script = {"commandId": "RunPowerShellScript", "script": ["exit 0"]}
    version = "?api-version=2024-07-01"
    plan = plan_of(arm.cloud, FaultKind.AGENT_SILENT)
    assert (await http.post(f"{MACHINES}/pc1/runCommand{version}", json=script)).status_code == 202
    running = entries[-1]
    assert running.end_time is None and running.overlaps is None
    assert (await http.post(f"{MACHINES}/pc1/restart{version}")).status_code == 202
    assert entries[-1].overlaps == running.sequence
    plan.stop()
    await until(lambda: entries[-1].end_time and running.end_time)
    assert (await http.post(f"{MACHINES}/pc1/restart{version}")).status_code == 202
    assert entries[-1].overlaps is None
    shown = (await http.get("/simulator/ledger")).json()
    assert shown[running.sequence]["overlaps"] == running.sequence
    assert [shown[number]["faults"] for number in (running.sequence - 1, running.sequence)] == [
        ["guest agent silent"],
        [],
    ]


# What lies behind


@of(FaultKind.CAPACITY, FaultKind.QUOTA)
async def test_capacity_and_quota(arm: Arm) -> None:
    plan_of(arm.cloud, FaultKind.CAPACITY)
    refused = {(await code_of(arm.machine(f"pc-{n}")))[1] for n in range(5)}
    assert refused == {"SkuNotAvailable", "AllocationFailed"}
    plan_of(arm.cloud, FaultKind.CAPACITY)
    reservations = {(await code_of(reserve(arm, f"size-{n}")))[1] for n in range(5)}
    assert reservations == {"SkuNotAvailable", "ZonalAllocationFailed"}
    plan = plan_of(arm.cloud, FaultKind.QUOTA)
    error = await refusal(arm.machine("pc-quota"))
    assert error.error and error.error.code == "OperationNotAllowed" and "Cores quota" in str(error.error.message)
    assert arm.cloud.ledger.entries[-1].faults == [FaultKind.QUOTA]
    plan.stop()
    await arm.machine("pc-quota")


async def reserve(arm: Arm, name: str) -> Any:
    """Begin to reserve room in a zone."""
    compute = arm.clients.compute
    body = {"location": "westeurope", "zones": ["1"]}
    await compute.capacity_reservation_groups.create_or_update(GROUP, name, body)
    body |= {"sku": {"name": "Standard_D2s_v5", "capacity": 1}}
    return await compute.capacity_reservations.begin_create_or_update(GROUP, name, "room", body)


@of(FaultKind.AGENT_SILENT)
async def test_a_silent_agent_goes_on_when_the_faults_end(arm: Arm, http: httpx.AsyncClient) -> None:
    for name in ("pc1", "pc2"):
        await arm.machine(name)
    plan = plan_of(arm.cloud, FaultKind.AGENT_SILENT)
    version = "?api-version=2024-07-01"
    script = {"commandId": "RunPowerShellScript", "script": ["exit 0"]}
    await http.put(f"{MACHINES}/pc1/extensions/join{version}", json=entra_join_body())
    await http.put(f"{MACHINES}/pc2/runCommands/look{version}", json=run_command_body("exit 0"))
    await http.post(f"{MACHINES}/pc2/runCommand{version}", json=script)
    await asyncio.sleep(0.25)
    entries = arm.cloud.ledger.entries[-3:]
    assert [(e.operation, e.faults) for e in entries] == [("InProgress", [FaultKind.AGENT_SILENT])] * 3
    plan.stop()
    await until(lambda: {entry.operation for entry in entries} == {"Succeeded"})


@of(FaultKind.SCRIPT_FAILS)
async def test_a_script_fails_at_its_end(arm: Arm) -> None:
    machine = await arm.machine("pc1")
    script = (ROOT / "activities/post_provisioning/disable_windows_reset.ps1").read_text()
    plan = plan_of(arm.cloud, FaultKind.SCRIPT_FAILS)
    view = await arm.run("pc1", "reset", script)
    assert (view.execution_state, view.exit_code) == ("Failed", 1)
    assert not arm.cloud.guests[machine.id.lower()].recovery_environment_enabled
    assert arm.cloud.ledger.entries[-1].faults == [FaultKind.SCRIPT_FAILS]
    plan.stop()
    assert (await arm.run("pc1", "again", script)).exit_code == 0


@of(FaultKind.JOIN_LIES)
@pytest.mark.parametrize("is_stopped", [True, False])
async def test_a_join_that_lies_is_made_later(arm: Arm, monkeypatch: pytest.MonkeyPatch, *, is_stopped: bool) -> None:
    await arm.machine("pc1")
    plan = plan_of(arm.cloud, FaultKind.JOIN_LIES)
    monkeypatch.setattr(extensions, "_JOIN_AGAIN_SECONDS", FOREVER if is_stopped else 300)
    extension = await arm.join("pc1")
    assert extension.properties.provisioning_state == "Succeeded"
    assert arm.cloud.directory.devices == {}
    assert arm.cloud.ledger.entries[-1].faults == [FaultKind.JOIN_LIES]
    if is_stopped:
        plan.stop()
    device = (await until(lambda: list(arm.cloud.directory.devices.values())))[0]
    assert device["displayName"] == "pc1" and arm.cloud.guests[f"{MACHINES}/pc1".lower()].entra_joined


async def test_a_machine_made_again_is_not_joined_for_the_one_before(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "_JOIN_AGAIN_SECONDS", FOREVER)
    await arm.machine("pc1")
    plan = plan_of(arm.cloud, FaultKind.JOIN_LIES)
    await arm.join("pc1")
    await (await arm.clients.compute.virtual_machines.begin_delete(GROUP, "pc1")).result()
    await arm.machine("pc1")
    plan.stop()
    await asyncio.sleep(0.1)
    assert arm.cloud.directory.devices == {}


@of(FaultKind.NAMESAKE)
async def test_a_namesake_keeps_the_name(arm: Arm) -> None:
    await arm.machine("pc1")
    plan = plan_of(arm.cloud, FaultKind.NAMESAKE)
    await arm.join("pc1")
    (device,) = arm.cloud.directory.devices.values()
    foreign = rf"\[AzureResourceId\]:/subscriptions/[0-9-]+/resourceGroups/{FOREIGN_GROUP}/providers/.+/pc1"
    assert device["displayName"] == "pc1" and any(re.fullmatch(foreign, id) for id in device["physicalIds"])
    assert not arm.cloud.guests[f"{MACHINES}/pc1".lower()].entra_joined
    plan.stop()
    await arm.clients.compute.virtual_machine_extensions.begin_delete(GROUP, "pc1", "join")
    with pytest.raises(HostnameDuplicate):
        arm.cloud.directory.join_device(display_name="pc1", vm_id="another", os_version="10.0.26100.1")


@of(FaultKind.SESSION_HOST_UNAVAILABLE)
async def test_a_session_host_is_available_when_the_faults_end(arm: Arm, http: httpx.AsyncClient) -> None:
    desktops = f"{GROUP_ID}/providers/Microsoft.DesktopVirtualization/hostPools/pool"
    version = "?api-version=2024-04-03"
    pool = {"hostPoolType": "Personal", "loadBalancerType": "Persistent", "preferredAppGroupType": "Desktop"}
    pool["personalDesktopAssignmentType"] = "Direct"
    expiry = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    registration = {"expirationTime": expiry, "registrationTokenOperation": "Update"}
    body = {"location": "westeurope", "properties": pool}
    assert (await http.put(f"{desktops}{version}", json=body)).is_success
    body = {"properties": {"registrationInfo": registration}}
    assert (await http.patch(f"{desktops}{version}", json=body)).is_success
    machine = await arm.machine("pc1")
    await arm.join("pc1")
    plan = plan_of(arm.cloud, FaultKind.SESSION_HOST_UNAVAILABLE)
    guest = arm.cloud.guests[machine.id.lower()]
    stored = arm.cloud.resources.get(desktops)
    assert stored
    guest.avd_registration_token = stored.private["registration"]["token"]
    found = arm.cloud.resources.get(machine.id)
    assert found
    register_session_host(arm.cloud, found, guest)

    async def is_available() -> bool:
        host = (await http.get(f"{desktops}/sessionHosts/pc1{version}")).json()
        return host["properties"]["status"] == "Available"

    await asyncio.sleep(0.2)
    assert not await is_available()
    plan.stop()
    await until(is_available)


@of(FaultKind.STALE_CREATED, FaultKind.STALE_DELETED)
async def test_views_that_are_behind_catch_up(
    cloud: Cloud, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def names() -> list[str]:
        return [device["displayName"] for device in (await http.get("/v1.0/devices")).json()["value"]]

    async def is_gone() -> bool:
        return await names() == []

    def join(name: str) -> str:
        vm_id = f"{MACHINES}/{name}"
        return cloud.directory.join_device(display_name=name, vm_id=vm_id, os_version="10.0.26100.1")["id"]

    monkeypatch.setattr(directory, "BEHIND_SECONDS", FOREVER)
    plan = plan_of(cloud, FaultKind.STALE_CREATED)
    id = join("pc1")
    # A later change, which is not struck, does not bring the device before its time.
    cloud.faults.plan = plan_of(cloud, FaultKind.STALE_CREATED, 0.0)
    cloud.directory.update_device(id, {"isManaged": True})
    cloud.faults.plan = plan
    await asyncio.sleep(0.1)
    assert await names() == []
    plan.stop()
    await until(names)

    plan = plan_of(cloud, FaultKind.STALE_DELETED)
    cloud.directory.delete_device(id)
    await asyncio.sleep(0.1)
    assert await names() == ["pc1"]
    plan.stop()
    await until(is_gone)

    monkeypatch.setattr(directory, "BEHIND_SECONDS", 200)
    plan_of(cloud, FaultKind.STALE_CREATED)
    start = time.monotonic()
    join("pc2")
    await until(names)
    assert time.monotonic() - start >= 0.2


async def test_a_managed_device_that_is_late(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "BEHIND_SECONDS", FOREVER)
    device = cloud.directory.join_device(display_name="pc1", vm_id=f"{MACHINES}/pc1", os_version="10.0.26100.1")
    plan = plan_of(cloud, FaultKind.STALE_CREATED)
    enrolling = asyncio.create_task(cloud.directory.enroll_device(device))
    await asyncio.sleep(0.4)
    assert cloud.directory.managed_devices == {}
    plan.stop()
    assert await asyncio.wait_for(enrolling, 10)


# Rules, the simulator's own address, and who watches


async def test_rules_that_break_connections_and_operations(cloud: Cloud, http: httpx.AsyncClient) -> None:
    async def add(**rule: Any) -> int:
        answer = await http.post("/simulator/faults", json={"method": "GET", "path": "users", **rule})
        error = answer.json().get("error", "fault: ")
        assert error.startswith("fault: ") and "\n" not in error
        return answer.status_code

    assert await add(how="reset") == await add(how="half", when="after") == 201
    for _ in range(2):
        with pytest.raises(BROKEN):
            await http.get(USERS)
    assert await add(how="late", when="after", seconds=0.15) == 201
    assert (await http.get(USERS)).elapsed.total_seconds() >= 0.15
    assert await add(status=502, content="<html>Bad Gateway</html>") == 201
    assert (await http.get(USERS)).text == "<html>Bad Gateway</html>"
    assert (await http.get(USERS)).status_code == 200
    for wrong in ({"how": "late"}, {"how": "gone"}, {"how": "reset", "when": "operation"}, {"how": "slow"}):
        assert await add(**wrong) == 400
    assert await add(when="often") == await add(path="(") == await add(speed=2) == 400
    cloud.faults.add(Fault("PUT", "networkInterfaces", when="operation", how="canceled"))
    assert cloud.faults.take("PUT", "/networkInterfaces/nic", "operation") is cloud.faults.rules[-1]


async def test_the_plan_by_the_simulators_address(cloud: Cloud, http: httpx.AsyncClient) -> None:
    address = "/simulator/fault-plan"
    assert (await http.get(address)).json() == {}
    rates = only(FaultKind.HTTP_503)
    assert (await http.post(address, json={"seed": 5, "rates": rates})).status_code == 201
    assert (await http.get(USERS)).status_code == 503
    first = cloud.faults.plan
    assert first and (await http.get(address)).json() == {"503": 1}
    assert (await http.post(address, json={"seed": 6})).status_code == 201
    await asyncio.wait_for(first.until_stopped(), 10)
    assert (await http.delete(address)).status_code == 200
    assert {(await http.get(USERS)).status_code for _ in range(5)} == {200}
    assert (await http.get(address)).json() == {}


MALFORMED = (
    "",
    "[]",
    '{"rates": {}}',
    '{"seed": "1"}',
    '{"seed": true}',
    '{"seed": 1, "rates": []}',
    '{"seed": 1, "rates": {"slow": 1}}',
    '{"seed": 1, "rates": {"408": -1}}',
    '{"seed": 1, "rates": {"408": NaN}}',
    '{"seed": 1, "rates": {"408": "often"}}',
    '{"seed": 1, "speed": 2}',
)


async def test_a_malformed_plan_is_refused_in_a_line(cloud: Cloud, http: httpx.AsyncClient) -> None:
    for body in MALFORMED:
        answer = await http.post("/simulator/fault-plan", content=body)
        error = answer.json()["error"]
        assert answer.status_code == 400 and error.startswith("fault-plan: ") and "\n" not in error, body
    assert cloud.faults.plan is None


async def test_a_watcher_sees_each_request_at_three_moments(
    simulator: SimulatorServer, cloud: Cloud, http: httpx.AsyncClient
) -> None:
    seen: list[tuple[str, str, bool]] = []
    let_go = asyncio.Event()

    async def watch(moment: str, request: web.Request) -> None:
        is_made = cloud.resources.get(WORKSPACE.partition("?")[0]) is not None
        seen.append((moment, request.method, is_made))
        if moment == "during":
            await let_go.wait()
        if moment == "after":
            # The answer is out, or else the client would wait until this returns.
            await asyncio.wait_for(answered.wait(), 10)

    answered = asyncio.Event()
    simulator.watcher = watch
    asking = asyncio.create_task(http.put(WORKSPACE, json=WORKSPACE_BODY))
    asking.add_done_callback(lambda _: answered.set())
    await until(lambda: len(seen) == 2)
    assert not asking.done()
    let_go.set()
    assert (await asking).status_code == 201
    await until(lambda: len(seen) == 3)
    assert seen == [("before", "PUT", False), ("during", "PUT", True), ("after", "PUT", True)]
    for path in (USERS, SECRET, "/tenants?api-version=2022-12-01"):
        await http.get(path)
    assert [moment for moment, _, _ in seen] == ["before", "during", "after"] * 4
    seen.clear()
    await http.get("/simulator/ledger")
    await http.post(TOKEN, data=CREDENTIALS)
    assert seen == []
    plan_of(cloud, FaultKind.RESET_BEFORE)
    with contextlib.suppress(httpx.TransportError):
        await http.get(USERS)
    await until(lambda: len(seen) == 3)


async def test_a_client_that_has_gone_away_disturbs_nobody(
    simulator: SimulatorServer, cloud: Cloud, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    gone, moments = asyncio.Event(), list[str]()

    async def watch(moment: str, request: web.Request) -> None:
        if moment == "during":
            await gone.wait()
            await until(lambda: request.transport is None)
        moments.append(moment)

    simulator.watcher = watch
    with pytest.raises(httpx.ReadTimeout):
        await http.put(WORKSPACE, json=WORKSPACE_BODY, timeout=0.3)
    gone.set()
    await until(lambda: moments == ["before", "during", "after"])
    assert cloud.ledger.entries[-1].status == 201
    simulator.watcher = None
    assert (await http.get(WORKSPACE)).status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
