"""A tenant of any size: its groups are made on demand, its objects found by index, its requests counted by kind."""

import httpx
import pytest

from simulator.ledger import kind
from simulator.objects import Objects
from simulator.server import SimulatorServer

WESTEUROPE = {"region": "westeurope", "limit": 5000}


async def test_a_group_of_new_licensed_users_is_made(simulator: SimulatorServer) -> None:
    directory = simulator.cloud.directory
    bought = {sku["skuPartNumber"]: sku["prepaidUnits"]["enabled"] for sku in directory.skus.values()}
    wish = {"displayName": "Sales staff", "users": 1200, "licenses": ["CPC_E_2C_8GB_128GB", "EMS"]}
    async with httpx.AsyncClient(base_url=simulator.cloud.base_url) as http:
        answer = await http.post("/simulator/groups", json=wish)
    assert answer.status_code == 201
    users = [directory.users[id] for id in directory.members[answer.json()["id"]]]
    assert len({user["userPrincipalName"] for user in users}) == 1200
    assert all(directory.has_intune_license(user) for user in users)
    assert directory.users.by("userPrincipalName", "SALES-STAFF-1200@contoso.com") == [users[-1]]
    more = {sku["skuPartNumber"]: sku["prepaidUnits"]["enabled"] for sku in directory.skus.values()}
    assert {name for name in more if more[name] == bought[name] + 1200} == {"CPC_E_2C_8GB_128GB", "EMS"}


async def test_quota_is_set(simulator: SimulatorServer) -> None:
    async with httpx.AsyncClient(base_url=simulator.cloud.base_url) as http:
        answer = await http.post("/simulator/quota", json=WESTEUROPE)
    capacity = simulator.cloud.resources.capacity
    assert answer.status_code == 200
    assert {capacity.limit("westeurope", usage) for usage in capacity.usages()} == {5000}


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("groups", {"displayName": "Sales"}, "groups: displayName, users and licenses"),
        ("groups", {"displayName": "Sales", "users": 1, "licenses": ["E9"]}, "licenses: ['E9'] are not among"),
        ("quota", {"region": "westeurope"}, "quota: region and limit"),
        ("quota", {**WESTEUROPE, "region": "atlantis"}, "region: 'atlantis' is not in the catalog"),
    ],
)
async def test_nonsense_is_refused(simulator: SimulatorServer, path: str, body: dict[str, object], error: str) -> None:
    async with httpx.AsyncClient(base_url=simulator.cloud.base_url) as http:
        answer = await http.post(f"/simulator/{path}", json=body)
    assert answer.status_code == 400 and answer.json()["error"].startswith(error)


async def test_requests_are_counted_by_kind(simulator: SimulatorServer) -> None:
    async with httpx.AsyncClient(base_url=simulator.cloud.base_url) as http:
        for path in ("/v1.0/users", "/v1.0/users", "/simulator/inventory"):
            await http.get(path)
        counted = (await http.get("/simulator/requests")).json()
    assert counted == {"GET /v1.0/users": 2}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/a/extensions/b",
         "GET Microsoft.Compute/virtualMachines/{name}/extensions/{name}"),
        ("/subscriptions/s/providers/Microsoft.Compute/locations/westeurope/operations/1",
         "GET Microsoft.Compute/locations/{name}/operations/{name}"),
        ("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/a"
         "/providers/Microsoft.Authorization/roleAssignments/b", "GET Microsoft.Authorization/roleAssignments/{name}"),
        ("/v1.0/users/ada00000-0000-4000-8000-000000000001", "GET /v1.0/users/{id}"),
    ],
)  # fmt: skip
def test_kinds(path: str, expected: str) -> None:
    assert kind("GET", path) == expected


def test_an_index_follows_what_is_added_replaced_and_removed() -> None:
    objects = Objects([{"id": "1", "name": "A", "ids": ["x", "y"]}], indexed=["name", "ids"])
    objects["2"] = {"id": "2", "name": "a", "ids": ["Y"]}
    assert [item["id"] for item in objects.by("name", "A")] == ["1", "2"]
    assert [item["id"] for item in objects.by("ids", "y")] == ["1", "2"]
    objects["1"] = {"id": "1", "name": "b", "ids": []}
    assert [item["id"] for item in objects.by("name", "A")] == ["2"] and objects.by("ids", "x") == []
    del objects["2"]
    assert objects.by("name", "A") == objects.by("ids", "y") == [] and list(objects) == ["1"]
