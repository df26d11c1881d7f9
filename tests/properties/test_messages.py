"""Signals, updates and queries: whatever comes in, the Cloud PC lives on as it was, and the sender is told."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.common import RawValue

from models.cloud_pc import CloudPc
from models.remote_actions import Deprovision, Reprovision
from models.validation import MAX_MESSAGE
from tests.properties.conftest import Living
from tests.properties.strategies import TEXTS, VALUES, examples, near_misses
from tests.properties.test_documents import CONNECTIONS, POLICIES
from workflows.cloud_pc.workflow import CloudPcWorkflow

WISHES = {"reprovision": Reprovision, "deprovision": Deprovision}
OPERATIONS = st.sampled_from(sorted(WISHES))
ENCODINGS = st.sampled_from(
    [
        b"json/plain",
        b"binary/null",
        b"binary/plain",
        b"json/protobuf",
        b"binary/protobuf",
        b"binary/encrypted",
        b"",
        b"\xff",
    ]
)
METADATA = st.one_of(
    ENCODINGS.map(lambda encoding: {"encoding": encoding}),
    st.just({}),
    st.just({"encoding": b"json/protobuf", "messageType": b"no.such.Message"}),
)
NEARLY: list[dict[str, Any]] = [
    {"reason": "lost", "userAccountType": "administrator"},
    {"reason": "moved", "policy": POLICIES[0], "connections": CONNECTIONS},
]
FIELDS = st.sampled_from(["reason", "policy", "connections", "userAccountType", "force", "user_account_type"])
DATA = (
    st.binary(max_size=40)
    | VALUES.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    | near_misses(NEARLY, FIELDS).map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    | st.sampled_from(
        [b"[" * 10_000, b"9" * 5000, b'{"reason": "' + b"x" * 30_000 + b'"}', b'{"a":1,"a":2}', b"\xef\xbb\xbf{}"]
    )
    | st.just(json.dumps({f"k{number}": number for number in range(2000)}).encode())
)


@st.composite
def malformed(draw: st.DrawFn) -> tuple[str, Payload]:
    """An operation and an input that it refuses."""
    operation, data = draw(OPERATIONS), draw(DATA)
    try:
        WISHES[operation].model_validate_json(data or b"{}", extra="forbid")
    except ValidationError:
        return operation, Payload(metadata=draw(METADATA), data=data)
    assume(False)
    raise AssertionError


async def unharmed(living: Living) -> CloudPc:
    """Return the Cloud PC, once it has been seen to be as it was."""
    pc = await living.handle.query(CloudPcWorkflow.cloud_pc)
    assert pc.model_copy(update={"refused_signals": ()}) == living.pc
    return pc


@pytest.fixture(scope="module", autouse=True)
async def nothing_has_failed(living: Living) -> Any:
    """After all tests of this module: no workflow task has failed, in the one run that there was."""
    yield
    description = await living.handle.describe()
    assert description.status == WorkflowExecutionStatus.RUNNING
    failed = [
        event
        async for event in living.handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]
    assert failed == []


@given(st.lists(malformed(), min_size=1, max_size=4))
@examples(25)
@example([("reprovision", Payload(metadata={"encoding": b"json/plain"}, data=b'{"reason": 1}'))] * 8)
@example([("deprovision", Payload(data=b'{"reason": "' + b"x" * 1_500_000 + b'"}'))])
async def test_a_malformed_signal_is_shown_and_harms_nothing(
    living: Living, signals: list[tuple[str, Payload]]
) -> None:
    before = (await unharmed(living)).refused_signals

    await asyncio.gather(*(living.handle.signal(name, RawValue(payload)) for name, payload in signals))

    refused = (await unharmed(living)).refused_signals
    assert len(refused) == min(5, len(before) + len(signals))
    shown = refused[-len(signals) :]
    assert sorted(one.signal for one in shown)[-5:] == sorted(name for name, _ in signals)[-len(shown) :]
    for one in shown:
        assert 0 < len(one.error) <= MAX_MESSAGE and len(one.error.splitlines()) == 1 and ": " in one.error


@given(malformed())
@examples(25)
@example(("reprovision", Payload(metadata={"encoding": b"json/plain"}, data=b'{"reson": "x"}')))
async def test_a_malformed_update_is_refused_with_the_field(living: Living, sent: tuple[str, Payload]) -> None:
    name, payload = sent
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await living.handle.execute_update(name, RawValue(payload))

    message = str(refused.value.cause)
    assert 0 < len(message) <= MAX_MESSAGE and len(message.splitlines()) == 1 and ": " in message
    await unharmed(living)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"reson": "x"}, "reson: no such field; did you mean reason?"),
        ({"reason": "x" * 501}, "reason: string should have at most 500 characters"),
        ({"reason": "a\nb"}, "reason: 'a\\nb' does not match"),
        ({"userAccountType": "root"}, "userAccountType: 'root' is not supported; use one of: standardUser, admin"),
        ({"policy": {"id": "engineering"}}, "policy.displayName: missing; add it"),
        ({"connections": CONNECTIONS * 11}, "connections: "),
        (
            {"connections": [CONNECTIONS[0] | {"adDomainPassword": {"environmentVariable": "hunter2"}}]},
            "connections[0].adDomainPassword.environmentVariable: what stands there does not match",
        ),
    ],
)
async def test_an_update_is_told_the_field_and_the_remedy(living: Living, content: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await living.handle.execute_update("reprovision", content)
    assert told in str(refused.value.cause) and "hunter2" not in str(refused.value.cause)
    await unharmed(living)


@given(TEXTS.filter(lambda name: name not in WISHES and name.strip("\x00") and len(name) < 900 and name.isprintable()))
@examples(8)
async def test_names_that_nothing_answers_to(living: Living, name: str) -> None:
    await living.handle.signal(name, {"reason": "x"})
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await living.handle.execute_update(name, {"reason": "x"})
    assert "not found" in str(refused.value.cause)
    with pytest.raises(WorkflowQueryFailedError, match="not found"):
        await living.handle.query(name)
    await unharmed(living)


@given(
    st.lists(
        VALUES
        | st.builds(
            lambda data, metadata: RawValue(Payload(metadata=metadata, data=data)), st.binary(max_size=20), METADATA
        ),
        min_size=1,
        max_size=3,
    )
)
@examples(12)
async def test_a_query_with_arguments(living: Living, arguments: list[Any]) -> None:
    """It may be answered or refused."""
    try:
        assert await living.handle.query("cloud_pc", args=arguments, result_type=CloudPc)
    except WorkflowQueryFailedError as refused:
        assert str(refused)
    await unharmed(living)
