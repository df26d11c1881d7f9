"""The validator takes what Microsoft publishes as examples, and refuses what a description does not allow."""

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from simulator.server import Exchange
from tests.contracts.contract import Contract, check_body
from tests.contracts.descriptions import CONTRACTS, Descriptions, Operation

MISTAKES = (
    # A null, where the description has none.
    r"(Deployments_|HostPools_|ResourceSkus_|VirtualMachines_)\w+, .*: None is not of type '\w+'",
    r"Deployments_WhatIf\w*, .*\.after: 'my tag value' is not of type 'object'",
    r"CapacityReservation(Group)?s_Update, request, \$\.properties\.instanceView: is read-only",
    r"JitNetworkAccessPolicies_CreateOrUpdate, request, .*: is read-only",
    r"JitNetworkAccessPolicies_Initiate, request, .*: ('endTimeUtc' is a required property|duration: not described)",
    # In upper case, and a placeholder for a time.
    r"device-list\.json, .*: Manufacturer, Model: not described",
    r"group-delta-initial\.json, .*: 'datetime-value' is not a 'date-time'",
    # Documented, and answered by Graph, but in no description of it.
    r"group-get\.json, .*: creationOptions: not described",
)
"""What is wrong with published examples, as regular expressions of violations."""

GRAPH_ANSWERS = {
    "device-get.json": "devices_device_id_get",
    "device-list.json": "devices_get",
    "group-delta-initial.json": "groups_delta_get",
    "group-delta-members.json": "groups_delta_get",
    "group-get.json": "groups_group_id_get",
    "group-list-transitivemembers.json": "groups_group_id_transitiveMembers_get",
    "manageddevice-get.json": "deviceManagement_managedDevices_managedDevice_id_get",
    "manageddevice-list.json": "deviceManagement_managedDevices_get",
    "serviceprincipal-list.json": "servicePrincipals_get",
    "subscribedsku-list.json": "subscribedSkus_get",
    "user-delta-initial.json": "users_delta_get",
    "user-get.json": "users_user_id_get",
    "user-list.json": "users_get",
    "user-list-licensedetails.json": "users_user_id_licenseDetails_get",
}
"""Graph's examples by the operations that answer so."""

GRAPH_REQUESTS = {
    "manageddevice-wipe.request.json": "deviceManagement_managedDevices_managedDevice_id_wipe_post",
    "primaryuser-set.request.json": "deviceManagement_managedDevices_managedDevice_id_users_ref_post",
}
"""Graph's examples by the operations that are asked so."""


def test_published_examples_are_as_described(descriptions: Descriptions) -> None:
    found: set[str] = set()
    checked = 0
    for operation in descriptions.operations:
        for example in operation.examples():
            checked += 1
            if example.request is not None:
                found |= _violations(operation.name, operation, None, json.dumps(example.request))
            for status, body in example.answers.items():
                if body is not None:
                    found |= _violations(operation.name, operation, status, json.dumps(body))
    for path in CONTRACTS.glob("graph/examples/*.json"):
        text = path.read_text(encoding="utf-8")
        if name := GRAPH_ANSWERS.get(path.name):
            found |= _violations(path.name, descriptions.named(name), 200, text)
        elif name := GRAPH_REQUESTS.get(path.name):
            found |= _violations(path.name, descriptions.named(name), None, text)
        elif path.name.startswith("error-") and path.name != "error-generic.json":
            found |= _violations(path.name, descriptions.named("users_get"), 400, text)

    assert checked > 400
    assert sorted(text for text in found if not any(re.fullmatch(mistake, text) for mistake in MISTAKES)) == []
    assert [mistake for mistake in MISTAKES if not any(re.fullmatch(mistake, text) for text in found)] == []


def _violations(name: str, operation: Operation, status: int | None, body: str) -> set[str]:
    side, validator = (
        ("request", operation.request) if status is None else (f"answer {status}", operation.answer(status))
    )
    return {str(violation) for violation in check_body(name, side, validator, body.encode())}


GROUP = "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg"
MACHINE = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm"
JSON = {"Content-Type": "application/json; charset=utf-8"}


@dataclass
class Draft:
    """An exchange in the making, which is as described until it is changed."""

    path: str
    query: dict[str, str]
    answer: Any
    method: str = "GET"
    request: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)

    def exchange(self) -> Exchange:
        """Return it as it is now."""
        return Exchange(
            self.method,
            self.path,
            self.query,
            JSON,
            b"" if self.request is None else json.dumps(self.request).encode(),
            self.status,
            self.headers,
            b"" if self.answer is None else json.dumps(self.answer).encode(),
        )


@pytest.fixture
def machine(descriptions: Descriptions) -> Draft:
    """The published example of the creation of a virtual machine."""
    [example] = [
        example
        for example in descriptions.named("VirtualMachines_CreateOrUpdate").examples()
        if example.file == "VirtualMachine_Create_WithPasswordAuthentication.json"
    ]
    return Draft(
        path=MACHINE,
        query={"api-version": "2026-04-01"},
        answer=copy.deepcopy(example.answers[201]),
        method="PUT",
        request=copy.deepcopy(example.request),
        status=201,
    )


@pytest.fixture
def members(descriptions: Descriptions) -> Draft:
    """The members of a group, of different types."""
    user = {"@odata.type": "#microsoft.graph.user", "id": "1", "displayName": "Ada", "accountEnabled": True}
    device = {"@odata.type": "#microsoft.graph.device", "id": "2", "deviceId": "d", "operatingSystem": None}
    return Draft(
        path="/v1.0/groups/9409d000-0000-4000-8000-000000000001/members",
        query={"$top": "5"},
        answer={"@odata.context": "https://graph", "value": [user, device]},
    )


Change = Callable[[Draft], object]


def _set(place: str, value: Any) -> Change:
    """Return the change that sets one thing, such as `status` or `request.properties.hardwareProfile.vmSize`."""
    attribute, *names = place.split(".")

    def change(draft: Draft) -> None:
        if not names:
            setattr(draft, attribute, value)
            return
        target = getattr(draft, attribute)
        for name in names[:-1]:
            target = target[name]
        target[names[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        _set("path", MACHINE.upper()),
        # More sizes exist than those described.
        _set("request.properties.hardwareProfile.vmSize", "Standard_D2as_v9"),
        # These are newer than the published description, and in the SDK.
        _set("request.placement", {"zonePlacementPolicy": "Any"}),
        _set("answer.properties.storageProfile.diskApiVersion", "2026-03-02"),
        _set("answer.properties.provisioningState", "Creating"),
    ],
)
def test_what_is_described_passes(machine: Draft, descriptions: Descriptions, change: Change) -> None:
    change(machine)
    assert Contract(descriptions).violations([machine.exchange()]) == []


@pytest.mark.parametrize(
    ("change", "side", "place", "message"),
    [
        (lambda draft: draft.request.pop("location"), "request", "$", "'location' is a required property"),
        (
            _set("request.properties.hardwareProfile.vmSize", 3),
            "request",
            "$.properties.hardwareProfile.vmSize",
            "type",
        ),
        (_set("request.zones", None), "request", "$.zones", "None is not of type 'array'"),
        (_set("request.properties.hardwarProfile", {}), "request", "$.properties", "hardwarProfile: not described"),
        (
            _set("request.properties.storageProfile.osDisk.caching", "Sometimes"),
            "request",
            "$.properties.storageProfile.osDisk.caching",
            "is not one of",
        ),
        (_set("request.id", MACHINE), "request", "$.id", "is read-only"),
        (
            _set("request.properties.storageProfile.osDisk.diskSizeGB", 2**31),
            "request",
            "$.properties.storageProfile.osDisk.diskSizeGB",
            "int32",
        ),
        (_set("request", None), "request", "body", "is missing"),
        (_set("query", {"api-version": "2024-07-01"}), "request", "api-version", "is 2024-07-01 and not 2026-04-01"),
        (_set("query.force", "true"), "request", "query parameter force", "is not described"),
        (_set("path", f"{MACHINE}/galleries/g"), "request", "path", "is not described"),
        (_set("method", "HEAD"), "request", "path", "is not described"),
        (_set("status", 202), "answer 202", "status", "is not accepted by the SDK"),
        (_set("headers", {"Content-Type": "text/plain"}), "answer 201", "Content-Type", "is text/plain"),
        (_set("answer", None), "answer 201", "body", "is missing"),
        (_set("answer.properties.vmID", "x"), "answer 201", "$.properties", "vmID: not described"),
        (_set("answer.properties.timeCreated", "yesterday"), "answer 201", "$.properties.timeCreated", "date-time"),
        (
            _set("answer.properties.osProfile.adminPassword", "Secret-1"),
            "answer 201",
            "$.properties.osProfile.adminPassword",
            "is a secret",
        ),
    ],
)
def test_what_is_not_described_is_found(
    machine: Draft, descriptions: Descriptions, change: Change, side: str, place: str, message: str
) -> None:
    change(machine)
    [violation] = Contract(descriptions).violations([machine.exchange()])
    assert (violation.side, violation.place) == (side, place)
    assert message in violation.message


def test_members_of_graph_are_of_the_type_that_they_name(members: Draft, descriptions: Descriptions) -> None:
    assert Contract(descriptions).violations([members.exchange()]) == []

    members.answer["value"][0]["deviceId"] = "of a user"
    members.answer["value"][1]["accountEnabled"] = "yes"
    members.query["$filte"] = "true"

    assert [(found.place, found.message) for found in Contract(descriptions).violations([members.exchange()])] == [
        ("$.value[]", "deviceId: not described"),
        ("$.value[].accountEnabled", "'yes' is not of type 'boolean'"),
        ("query parameter $filte", "is not described"),
    ]


@pytest.mark.parametrize("answer", [{"code": "NotFound"}, {"error": {"code": 404}}, {"error": "NotFound"}])
def test_errors_have_their_services_form(
    machine: Draft, members: Draft, descriptions: Descriptions, answer: dict[str, Any]
) -> None:
    for draft in (machine, members):
        draft.status, draft.answer = 404, {"error": {"code": "NotFound", "message": "It is not there."}}
        assert Contract(descriptions).violations([draft.exchange()]) == []
        draft.answer = answer
        assert {found.side for found in Contract(descriptions).violations([draft.exchange()])} == {"answer 404"}


def test_operations_are_read_where_their_answers_say(machine: Draft, descriptions: Descriptions) -> None:
    path = (
        "/subscriptions/11111111-2222-4333-8444-555555555555/providers/Microsoft.Compute/locations/westus/operations/1"
    )
    poll = Draft(path, machine.query, {"status": "InProgress", "startTime": "2026-01-01T00:00:00Z"})

    [violation] = Contract(descriptions).violations([machine.exchange(), poll.exchange()])
    assert (violation.place, violation.message) == ("path", "is not described")

    machine.headers = {**JSON, "Azure-AsyncOperation": f"https://localhost:1{path}?api-version=2026-04-01"}
    assert Contract(descriptions).violations([machine.exchange(), poll.exchange()]) == []

    del poll.answer["status"]
    [violation] = Contract(descriptions).violations([machine.exchange(), poll.exchange()])
    assert violation.message == "'status' is a required property"
