"""What Azure and Graph answer: whatever it is, an activity ends well or fails in one line that says why."""

import json
from collections.abc import Callable, Coroutine
from datetime import timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aiohttp import web
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError
from azure.core.utils import CaseInsensitiveDict
from azure.mgmt.core.exceptions import ARMErrorFormat
from hypothesis import example, given
from hypothesis import strategies as st
from kiota_abstractions.api_error import APIError
from kiota_serialization_json.json_parse_node import JsonParseNode
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from temporalio.exceptions import ApplicationError

from activities.assignment.session_host import Assignment
from activities.core_provisioning.capacity import AllocateCapacity
from activities.core_provisioning.computer_name import ComputerNames
from activities.core_provisioning.entra_join import EntraJoin
from activities.core_provisioning.intune_enrollment import IntuneEnrollment
from activities.core_provisioning.network import Network
from activities.core_provisioning.primary_user import PrimaryUserAssignment
from activities.core_provisioning.virtual_machine import VirtualMachineCreation
from activities.users import Users
from cloud.errors import MAX_RETRY_AFTER, application_error, retry_after
from contract.activity import StepResult
from contract.assignment import AssignUserInput, RegisterSessionHostInput
from contract.core_provisioning import (
    AllocateCapacityInput,
    AssignPrimaryUserInput,
    AttachNetworkInput,
    ChooseComputerNameInput,
    CreateVirtualMachineInput,
    EnrollInIntuneInput,
    JoinEntraIdInput,
)
from contract.errors import ErrorClass, FailureDetails
from contract.users import FindUserInput
from models.cloud_pc import CloudPcReference
from models.provisioning_policy import GalleryImage
from models.validation import MAX_MESSAGE
from tests.attempt import inside_boundary
from tests.properties.conftest import Living, OddServer
from tests.properties.strategies import LONG_TEXTS, TEXTS, VALUES, examples

NUMBERS = st.sampled_from(
    [
        "0",
        "7",
        "-1",
        "1.5",
        "1e9",
        "nan",
        "inf",
        "²",
        "٣",
        "9" * 9,
        "9" * 30,
        "9" * 5000,
        " 7",
        "7 ",
        "+7",
        "0x7",
        "7, 8",
    ]
)
DATES = st.sampled_from(
    [
        "Wed, 25 Nov 2015 07:28:00 GMT",
        "Wed, 25 Nov 9999 07:28:00 GMT",
        "Wed, 25 Nov 2015 07:28:00 -0000",
        "25 Nov",
        "Wed, 25 Nov 9999 23:59:59 -2359",
        "Wed, 01 Jan 0001 00:00:00 +2359",
        "Wed, 25 Nov 2015 07:28:00 +9999999",
        "Wednesday, 25-Nov-15 07:28:00 GMT",
        "Wed Nov 25 07:28:00 2015",
        "Wed, 00 Jan 0000 00:00:00 GMT",
    ]
) | st.datetimes().map(format_datetime)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Retry-After", "retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-ms-correlation-request-id"]
    ),
    NUMBERS | DATES | TEXTS,
    max_size=3,
)
CODES = LONG_TEXTS | st.sampled_from(["Conflict", "AuthorizationFailed", "a\nb", "", "\x00", 7, None, ["a"], {"a": 1}])
MESSAGES = TEXTS | st.sampled_from(["line\nline", 7, None, ["a"], {"a": 1}, '{"Message": 7}', '{"Message": "a"}'])
ERRORS = st.recursive(
    st.fixed_dictionaries({}, optional={"code": CODES, "message": MESSAGES, "innererror": VALUES, "target": VALUES}),
    lambda inner: st.fixed_dictionaries(
        {"code": CODES, "message": MESSAGES}, optional={"details": st.lists(inner | VALUES, max_size=2) | VALUES}
    ),
    max_leaves=3,
)
BODIES = (ERRORS.map(lambda error: {"error": error}) | ERRORS | VALUES).map(
    lambda body: json.dumps(body).encode("utf-8", "surrogatepass")
) | st.binary(max_size=40)
STATUSES = st.sampled_from([200, 400, 401, 403, 404, 408, 409, 412, 429, 500, 503, 504, 599])


def seen(failed: ApplicationError | None) -> ApplicationError:
    """Return the error, once it has been seen to be fit for a history and for people."""
    assert failed is not None
    message, kind = failed.message, failed.type
    assert 0 < len(message) <= MAX_MESSAGE and len(message.splitlines()) == 1 and "\x00" not in message
    assert kind and len(kind) <= 100 and len(kind.splitlines()) == 1
    message.encode()
    kind.encode()
    details = failed.details[0]
    assert isinstance(details, FailureDetails) and details.remedy and details.attempts == 1
    assert FailureDetails.model_validate_json(details.model_dump_json()) == details
    delay = failed.next_retry_delay
    assert delay is None or timedelta(0) <= delay <= MAX_RETRY_AFTER
    return failed


@given(HEADERS)
@examples(100)
@example({"Retry-After": "²"})
@example({"Retry-After": "9" * 30})
@example({"retry-after-ms": "9" * 30})
@example({"Retry-After": "Wed, 25 Nov 2015 07:28:00 -0000"})
@example({"Retry-After": "Wed, 25 Nov 9999 23:59:59 -2359"})
def test_retry_after_any_header(headers: dict[str, str]) -> None:
    delay = retry_after(headers)
    assert delay is None or timedelta(0) <= delay <= MAX_RETRY_AFTER


@given(
    body=BODIES,
    headers=HEADERS,
    status=STATUSES,
    kind=st.sampled_from([HttpResponseError, ResourceExistsError, ClientAuthenticationError]),
)
@examples(80)
@example(body=b'{"error": {"code": 7, "message": ["a"]}}', headers={}, status=400, kind=HttpResponseError)
@example(body=b'{"error": {"code": "a\\nb", "message": ""}}', headers={}, status=400, kind=HttpResponseError)
@example(body=b"[" * 5000, headers={}, status=500, kind=HttpResponseError)
def test_any_error_of_azure(body: bytes, headers: dict[str, str], status: int, kind: type[HttpResponseError]) -> None:
    response: Any = SimpleNamespace(
        status_code=status, reason="odd", headers=CaseInsensitiveDict(latin(headers)), text=lambda: body.decode()
    )
    failed = seen(application_error(kind(response=response, error_format=ARMErrorFormat), 1))
    assert failed.non_retryable is (failed.details[0].error_class != ErrorClass.TRANSIENT)


@given(body=BODIES, headers=HEADERS, status=STATUSES | st.none())
@examples(80)
def test_any_error_of_graph(body: bytes, headers: dict[str, str], status: int | None) -> None:
    try:
        error = JsonParseNode(json.loads(body)).get_object_value(ODataError)
    except Exception:
        # The SDK cannot read it, and raises what it has in place of it.
        error = APIError(f"The server returned an unexpected status code {status}")
    error.response_status_code, error.response_headers = status, latin(headers)
    seen(application_error(error, 1))


def latin(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers as they arrive: what they hold is read as Latin-1."""
    return {name: value.encode("utf-8", "replace").decode("latin-1") for name, value in headers.items()}


@given(st.text(max_size=3000))
@examples(40)
@example("")
def test_any_words_of_ours(words: str) -> None:
    for error in (
        ApplicationError(f"waiting for {words}", type="NotYet"),
        TimeoutError(words),
        httpx.ConnectError(words),
    ):
        seen(application_error(error, 1))


Step = Callable[[], Coroutine[Any, Any, StepResult]]


def steps(living: Living) -> dict[str, Step]:
    """Return activities on the Cloud PC that is made: they look, and find nothing to do."""
    pc, lab, clients = living.pc, living.lab, living.lab.clients
    cloud_pc = CloudPcReference(
        cloud_pc_id=pc.id,
        policy_id=pc.policy_id,
        user_id=pc.user.id,
        computer_name=pc.computer_name,
        region=pc.region,
        entra_device_id=pc.entra_device_id,
    )
    image = GalleryImage(publisher="microsoftwindowsdesktop", offer="windows-11", sku="win11-24h2-ent")
    machine_id, plan = pc.virtual_machine_id or "", lab.service_plan
    assignment = Assignment(clients)
    return {
        "find_user": lambda: Users(clients).find_user(FindUserInput(user=pc.user.id)),
        "choose_computer_name": lambda: ComputerNames(clients).choose_computer_name(
            ChooseComputerNameInput(cloud_pc=cloud_pc, proposals=(pc.computer_name,))
        ),
        "allocate_capacity": lambda: AllocateCapacity(clients).allocate_capacity(
            AllocateCapacityInput(cloud_pc=cloud_pc, service_plan=plan)
        ),
        "attach_network": lambda: Network(clients).attach_network(AttachNetworkInput(cloud_pc=cloud_pc)),
        "create_virtual_machine": lambda: VirtualMachineCreation(clients).create_virtual_machine(
            CreateVirtualMachineInput(
                cloud_pc=cloud_pc,
                service_plan=plan,
                vm_size=pc.vm_size or "",
                zone="1",
                subnet_id=pc.network_id or "",
                image=image,
            )
        ),
        "join_entra_id": lambda: EntraJoin(clients).join_entra_id(
            JoinEntraIdInput(cloud_pc=cloud_pc, virtual_machine_id=machine_id)
        ),
        "enroll_in_intune": lambda: IntuneEnrollment(clients).enroll_in_intune(
            EnrollInIntuneInput(cloud_pc=cloud_pc, device_id=pc.entra_device_id or "")
        ),
        "assign_primary_user": lambda: PrimaryUserAssignment(clients).assign_primary_user(
            AssignPrimaryUserInput(managed_device_id=pc.managed_device_id or "", user=pc.user)
        ),
        "register_session_host": lambda: assignment.register_session_host(
            RegisterSessionHostInput(cloud_pc=cloud_pc, policy_display_name="Engineering", enable_single_sign_on=True)
        ),
        "assign_user": lambda: assignment.assign_user(
            AssignUserInput(
                cloud_pc=cloud_pc, session_host=pc.session_host or "", user_principal_name=pc.user.user_principal_name
            )
        ),
    }


STEPS = [
    "find_user",
    "choose_computer_name",
    "allocate_capacity",
    "attach_network",
    "create_virtual_machine",
    "join_entra_id",
    "enroll_in_intune",
    "assign_primary_user",
    "register_session_host",
    "assign_user",
]


async def outcome(living: Living, step: str) -> StepResult | ApplicationError:
    """Run an activity inside the boundary; a failure is one that people can read."""
    try:
        return await inside_boundary(steps(living)[step])
    except ApplicationError as failed:
        return seen(failed)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in pairs for found in ((value, key), *places(item))]


def altered(response: web.StreamResponse, place: int, kind: str) -> web.StreamResponse:
    """Return a JSON answer with one thing in it missing, null, empty or unknown."""
    if not isinstance(response, web.Response) or response.content_type != "application/json" or not response.text:
        return response
    body = json.loads(response.text)
    found = places(body)
    if not found:
        return response
    around, key = found[place % len(found)]
    old = around[key]
    if kind == "missing":
        del around[key]
    elif kind == "null":
        around[key] = None
    elif isinstance(old, str):
        around[key] = "" if kind == "empty" else "NeverHeardOf"
    elif isinstance(old, list):
        around[key] = []
    elif isinstance(old, dict):
        around[key] = {}
    return web.json_response(body, status=response.status, headers=_passed_on(response))


def _passed_on(response: web.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if not name.lower().startswith("content-")}


@given(
    step=st.sampled_from(STEPS),
    place=st.integers(0, 10_000),
    kind=st.sampled_from(["missing", "null", "empty", "unknown"]),
    turn=st.integers(0, 3),
)
@examples(50)
@example(step="allocate_capacity", place=0, kind="null", turn=0)
@example(step="enroll_in_intune", place=1483, kind="unknown", turn=0)
@example(step="assign_user", place=1585, kind="empty", turn=0)
async def test_an_answer_that_lacks_something(
    living: Living, simulator: OddServer, step: str, place: int, kind: str, turn: int
) -> None:
    answers = 0

    def alter(response: web.StreamResponse) -> web.StreamResponse:
        nonlocal answers
        answers += 1
        return altered(response, place, kind) if answers == turn + 1 else response

    simulator.alter = alter
    try:
        await outcome(living, step)
    finally:
        simulator.alter = None


@pytest.mark.parametrize("step", STEPS)
async def test_an_answer_that_is_none(living: Living, simulator: OddServer, step: str) -> None:
    for body in (b"", b"null", b"[]", b'"text"', b"<html>", b"\xff", b'{"value": null}', b"7"):
        simulator.alter = lambda _, body=body: web.Response(body=body, content_type="application/json")
        try:
            failed = await outcome(living, step)
        finally:
            simulator.alter = None
        assert isinstance(failed, ApplicationError) or step == "choose_computer_name", body
