"""Lists of Graph: every page is read, and no SDK model made, each of which takes the worker about 15 ms."""

from typing import NoReturn

import httpx
import pytest
from msgraph.generated.groups.item.members.graph_user.graph_user_request_builder import GraphUserRequestBuilder
from msgraph.generated.models.entity import Entity as SdkModel
from msgraph.generated.models.o_data_errors.o_data_error import ODataError

from cloud.clients import CloudClients
from cloud.graph.lists import Entity, advanced, listed
from simulator.server import SimulatorServer


class _User(Entity):
    user_principal_name: str


def _members(clients: CloudClients, group: str) -> GraphUserRequestBuilder:
    return clients.graph.groups.by_group_id(group).members.graph_user


async def test_every_page_is_read(
    simulator: SimulatorServer, clients: CloudClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish: dict[str, object] = {"displayName": "Staff", "users": 1200, "licenses": []}
    async with httpx.AsyncClient(base_url=simulator.cloud.base_url) as http:
        group = (await http.post("/simulator/groups", json=wish)).json()["id"]

    def made(_self: SdkModel) -> NoReturn:
        raise AssertionError("a model of the SDK is made")

    monkeypatch.setattr(SdkModel, "get_field_deserializers", made)
    query = GraphUserRequestBuilder.GraphUserRequestBuilderGetQueryParameters(count=True, top=999)
    users = [user async for user in listed(_members(clients, group), _User, advanced(query))]
    assert len({user.id for user in users}) == len(users) == 1200
    assert "staff-1200@contoso.com" in {user.user_principal_name for user in users}


async def test_a_refusal_is_graph_s_own_error(clients: CloudClients) -> None:
    with pytest.raises(ODataError) as refused:
        _ = [each async for each in listed(_members(clients, "nobody"), Entity)]
    assert refused.value.response_status_code in (400, 404)
