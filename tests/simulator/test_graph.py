import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from msgraph.generated.devices.devices_request_builder import DevicesRequestBuilder
from msgraph.generated.groups.item.transitive_members.graph_user.graph_user_request_builder import (
    GraphUserRequestBuilder,
)
from msgraph.generated.models.device import Device
from msgraph.generated.models.management_state import ManagementState
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder
from msgraph.generated.users.users_request_builder import UsersRequestBuilder

from cloud.clients import CloudClients
from simulator.active_directory import Computer
from simulator.cloud import SUBSCRIPTION_ID, Cloud
from simulator.directory import HostnameDuplicate
from simulator.server import SimulatorServer

ADA, GRACE, ALAN, EDSGER = (f"ada00000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3, 4))
USERS_GROUP, HYBRID_GROUP = (f"9409d000-0000-4000-8000-00000000000{n}" for n in (1, 2))
NOBODY = "00000000-0000-4000-8000-000000000000"
EVENTUAL = {"ConsistencyLevel": "eventual"}

Users = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters
UserItem = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters
Devices = DevicesRequestBuilder.DevicesRequestBuilderGetQueryParameters
MemberUsers = GraphUserRequestBuilder.GraphUserRequestBuilderGetQueryParameters


@pytest_asyncio.fixture
async def graph(simulator: SimulatorServer) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Graph without a client library: what is on the wire."""
    form = {
        "grant_type": "client_credentials",
        "client_id": "c10dc10d-0000-4000-8000-00000000c1d0",
        "client_secret": "simulator-client-secret",
        "scope": "https://graph.microsoft.com/.default",
    }
    async with httpx.AsyncClient(base_url=simulator.cloud.base_url) as http:
        answer = await http.post("/contoso.onmicrosoft.com/oauth2/v2.0/token", data=form)
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        http.base_url = f"{simulator.cloud.base_url}/v1.0"
        yield http


@pytest.fixture
def cloud(simulator: SimulatorServer) -> Cloud:
    return simulator.cloud


def vm_id(name: str) -> str:
    return (
        f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg-cloud-pcs/providers/Microsoft.Compute"
        f"/virtualMachines/{name}"
    )


def join(cloud: Cloud, name: str = "CPC-ADA") -> dict[str, Any]:
    return cloud.directory.join_device(display_name=name, vm_id=vm_id(name), os_version="10.0.26100.2314")


async def enroll(cloud: Cloud, name: str = "CPC-ADA") -> dict[str, Any]:
    managed = await cloud.directory.enroll_device(join(cloud, name))
    assert managed is not None
    return managed


def failure(response: httpx.Response) -> tuple[int, str]:
    body = response.json()["error"]
    assert body["innerError"].keys() == {"date", "request-id", "client-request-id"}
    assert body["innerError"]["request-id"] == response.headers["request-id"]
    return response.status_code, body["code"]


def names(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return sorted(item.get("displayName") or item.get("deviceName") for item in response.json()["value"])


# Users and licences


async def test_user_has_default_properties_unless_selected(clients: CloudClients) -> None:
    user = await clients.graph.users.by_user_id("ADA@contoso.com").get()
    assert user and user.id == ADA and user.display_name == "Ada Lovelace"
    assert user.account_enabled is None
    query = UserItem(select=["accountEnabled", "onPremisesSyncEnabled", "onPremisesUserPrincipalName"])
    grace = await clients.graph.users.by_user_id(GRACE).get(RequestConfiguration(query_parameters=query))
    assert grace and grace.account_enabled and grace.on_premises_sync_enabled
    assert grace.on_premises_user_principal_name == "grace@corp.contoso.com"
    by_key = await clients.graph.users_with_user_principal_name("alan@contoso.com").get()
    assert by_key and by_key.id == ALAN


async def test_missing_user(clients: CloudClients) -> None:
    with pytest.raises(ODataError) as raised:
        await clients.graph.users.by_user_id("nobody@contoso.com").get()
    assert raised.value.response_status_code == 404
    assert raised.value.error and raised.value.error.code == "Request_ResourceNotFound"
    assert raised.value.error.inner_error and raised.value.error.inner_error.request_id


async def test_licenses(clients: CloudClients) -> None:
    details = await clients.graph.users.by_user_id(ADA).license_details.get()
    assert details and {detail.sku_part_number for detail in details.value or []} == {"CPC_E_2C_8GB_128GB", "EMS"}
    plans = {plan.service_plan_name for detail in details.value or [] for plan in detail.service_plans or []}
    assert {"CPC_2", "INTUNE_A"} <= plans
    none = await clients.graph.users.by_user_id(EDSGER).license_details.get()
    assert none and none.value == []
    skus = await clients.graph.subscribed_skus.get()
    assert {sku.sku_part_number: sku.consumed_units for sku in (skus and skus.value) or []} == {
        "CPC_E_2C_8GB_128GB": 2,
        "CPC_E_4C_16GB_256GB": 1,
        "EMS": 3,
    }


async def test_users_by_service_plan(clients: CloudClients) -> None:
    plan = "9ecf691d-8b82-46cb-b254-cd061b2c02fb"
    query = Users(
        filter=f"assignedPlans/any(p:p/servicePlanId eq {plan} and p/capabilityStatus eq 'Enabled')", count=True
    )
    configuration = RequestConfiguration(query_parameters=query)
    configuration.headers.add("ConsistencyLevel", "eventual")
    page = await clients.graph.users.get(configuration)
    assert page and page.odata_count == 1 and [user.id for user in page.value or []] == [GRACE]


async def test_disabled_plan_is_not_granted(graph: httpx.AsyncClient, cloud: Cloud) -> None:
    intune = "c1ec4a95-1f05-45b3-a911-aa3fa01094f5"
    cloud.directory.users[ADA]["assignedLicenses"][1]["disabledPlans"] = [intune]
    user = (await graph.get(f"/users/{ADA}", params={"$select": "assignedPlans"})).json()
    assert intune not in {plan["servicePlanId"] for plan in user["assignedPlans"]}
    assert not cloud.directory.has_intune_license(cloud.directory.users[ADA])


async def test_pages_follow_each_other(clients: CloudClients) -> None:
    builder = clients.graph.users
    page = await builder.get(RequestConfiguration(query_parameters=Users(top=3, orderby=["displayName desc"])))
    found: list[str | None] = []
    while page:
        found += [user.given_name for user in page.value or []]
        page = await builder.with_url(page.odata_next_link).get() if page.odata_next_link else None
    assert found == ["Grace", "Edsger", "Alan", "Ada"]


async def test_page_size_is_bounded(graph: httpx.AsyncClient) -> None:
    assert failure(await graph.get("/users?$top=1000")) == (400, "Request_UnsupportedQuery")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("displayName eq 'ada LOVELACE'", ["Ada Lovelace"]),
        ("startsWith(userPrincipalName,'a')", ["Ada Lovelace", "Alan Turing"]),
        ("accountEnabled eq false", ["Alan Turing"]),
        ("onPremisesSyncEnabled eq null and accountEnabled eq true", ["Ada Lovelace", "Edsger Dijkstra"]),
        ("(surname eq 'Turing' or surname eq 'Hopper') and accountEnabled eq true", ["Grace Hopper"]),
        (f"id in ('{ADA}')", ["Ada Lovelace"]),
        ("assignedLicenses/any(x:x/skuId eq 96d2951e-cb42-4481-9d6d-cad3baac177e)", ["Grace Hopper"]),
        ("createdDateTime ge 2026-02-01T00:00:00Z", []),
    ],
)
async def test_filters(graph: httpx.AsyncClient, expression: str, expected: list[str]) -> None:
    assert names(await graph.get("/users", params={"$filter": expression})) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("not(displayName eq 'Ada Lovelace')", 3),
        ("accountEnabled ne true", 1),
        ("endsWith(userPrincipalName,'@contoso.com')", 4),
        ("assignedLicenses/$count eq 0", 1),
    ],
)
async def test_advanced_filters(graph: httpx.AsyncClient, expression: str, expected: int) -> None:
    options = {"$filter": expression, "$count": "true"}
    for headers, params in (({}, options), (EVENTUAL, {"$filter": expression})):
        refused = await graph.get("/users", params=params, headers=headers)
        assert failure(refused) == (400, "Request_UnsupportedQuery")
    answer = await graph.get("/users", params=options, headers=EVENTUAL)
    assert answer.json()["@odata.count"] == expected == len(answer.json()["value"])
    assert (await graph.get("/users/$count", params={"$filter": expression}, headers=EVENTUAL)).text == str(expected)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"$filter": "displayName eq"}, "BadRequest"),
        ({"$filter": "nickname eq 'x'"}, "BadRequest"),
        ({"$filter": "contains(displayName,'x')"}, "Request_UnsupportedQuery"),
        ({"$filter": "preferredLanguage eq 'en-US'"}, "Request_UnsupportedQuery"),
        ({"$filter": "accountEnabled eq true", "$orderby": "displayName"}, "Request_UnsupportedQuery"),
        ({"$select": "nickname"}, "BadRequest"),
        ({"$expand": "manager"}, "BadRequest"),
    ],
)
async def test_refused_queries(graph: httpx.AsyncClient, options: dict[str, str], code: str) -> None:
    assert failure(await graph.get("/users", params=options)) == (400, code)


# Groups


async def test_members_of_nested_groups(clients: CloudClients, graph: httpx.AsyncClient) -> None:
    configuration = RequestConfiguration(query_parameters=MemberUsers(count=True, select=["id"], top=999))
    configuration.headers.add("ConsistencyLevel", "eventual")
    members = clients.graph.groups.by_group_id(USERS_GROUP).transitive_members
    page = await members.graph_user.get(configuration)
    assert page and page.odata_count == 4
    assert {user.id for user in page.value or []} == {ADA, GRACE, ALAN, EDSGER}
    direct = (await graph.get(f"/groups/{USERS_GROUP}/members")).json()["value"]
    assert {member["id"] for member in direct} == {ADA, ALAN, EDSGER, HYBRID_GROUP}
    assert {member["@odata.type"] for member in direct} == {"#microsoft.graph.user", "#microsoft.graph.group"}
    cast = f"/groups/{USERS_GROUP}/transitiveMembers/microsoft.graph.user"
    assert failure(await graph.get(cast)) == (400, "Request_UnsupportedQuery")


async def test_members_come_and_go(graph: httpx.AsyncClient) -> None:
    path = f"/groups/{HYBRID_GROUP}/members"
    body = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{EDSGER}"}
    assert (await graph.post(f"{path}/$ref", json=body)).status_code == 204
    assert failure(await graph.post(f"{path}/$ref", json=body)) == (400, "Request_BadRequest")
    assert names(await graph.get(path)) == ["Edsger Dijkstra", "Grace Hopper"]
    assert (await graph.delete(f"{path}/{EDSGER}/$ref")).status_code == 204
    assert failure(await graph.delete(f"{path}/{EDSGER}/$ref")) == (404, "Request_ResourceNotFound")
    assert names(await graph.get(path)) == ["Grace Hopper"]


# Entra devices


async def test_joined_device_is_found(clients: CloudClients, cloud: Cloud) -> None:
    joined = join(cloud, "CPC-O'NEIL")
    query = Devices(filter="displayName eq 'cpc-o''neil'", select=["id", "deviceId", "physicalIds", "trustType"])
    page = await clients.graph.devices.get(RequestConfiguration(query_parameters=query))
    assert page and page.value and len(page.value) == 1
    device = page.value[0]
    assert device.id == joined["id"] and device.trust_type == "AzureAd"
    assert f"[AzureResourceId]:{vm_id(chr(67) + 'PC-O' + chr(39) + 'NEIL')}" in (device.physical_ids or [])
    by_key = await clients.graph.devices_with_device_id(joined["deviceId"]).get()
    assert by_key and by_key.registration_date_time and by_key.is_managed is None
    assert cloud.directory.device_of(vm_id("cpc-o'neil").upper()) is joined


async def test_devices_of_a_subscription(clients: CloudClients, cloud: Cloud, graph: httpx.AsyncClient) -> None:
    join(cloud)
    expression = f"physicalIds/any(x:startswith(x,'[AzureResourceId]:/subscriptions/{SUBSCRIPTION_ID}'))"
    configuration = RequestConfiguration(query_parameters=Devices(filter=expression, count=True))
    configuration.headers.add("ConsistencyLevel", "eventual")
    page = await clients.graph.devices.get(configuration)
    assert page and page.odata_count == 1
    refused = await graph.get("/devices", params={"$filter": expression})
    assert failure(refused) == (400, "Request_UnsupportedQuery")
    counting: Any = RequestConfiguration()
    counting.headers.add("ConsistencyLevel", "eventual")
    assert await clients.graph.devices.count.get(counting) == 1


async def test_host_name_belongs_to_one_device(clients: CloudClients, cloud: Cloud) -> None:
    first = join(cloud)
    with pytest.raises(HostnameDuplicate) as raised:
        join(cloud, "cpc-ada")
    assert raised.value.device_id == first["deviceId"]
    await clients.graph.devices.by_device_id(first["id"]).delete()
    assert join(cloud, "cpc-ada")["id"] != first["id"]


async def test_reads_lag_behind_changes(graph: httpx.AsyncClient, cloud: Cloud) -> None:
    old = join(cloud, "OLD")
    assert (await graph.get(f"/devices/{old['id']}")).status_code == 200
    cloud.clock.speed = 1
    new = join(cloud, "NEW")
    assert failure(await graph.get(f"/devices/{new['id']}")) == (404, "Request_ResourceNotFound")
    assert failure(await graph.delete(f"/devices/{new['id']}")) == (404, "Request_ResourceNotFound")
    assert (await graph.delete(f"/devices/{old['id']}")).status_code == 204
    assert names(await graph.get("/devices")) == ["OLD"]
    assert failure(await graph.delete(f"/devices/{old['id']}")) == (404, "Request_ResourceNotFound")


async def test_device_is_disabled(clients: CloudClients, cloud: Cloud, graph: httpx.AsyncClient) -> None:
    id = join(cloud)["id"]
    await clients.graph.devices.by_device_id(id).patch(Device(account_enabled=False))
    disabled = await clients.graph.devices.by_device_id(id).get()
    assert disabled and disabled.account_enabled is False
    refused = await graph.patch(f"/devices/{id}", json={"displayName": "other"})
    assert failure(refused) == (400, "Request_BadRequest")
    assert [(entry.effect, entry.status) for entry in cloud.ledger.entries] == [("updated", 204), ("none", 400)]


async def test_hybrid_device_is_pending_first(graph: httpx.AsyncClient, cloud: Cloud) -> None:
    computer = Computer("CPC-GRACE", "CN=CPC-GRACE,DC=corp,DC=contoso,DC=com", "S-1-5-21-1-2-3-2001", "grace", "10.0")

    async def shown() -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        select = "trustType,alternativeSecurityIds,registrationDateTime,onPremisesSecurityIdentifier"
        filter = "displayName eq 'CPC-GRACE'"
        return (await graph.get(f"/devices?$filter={filter}&$select={select}")).json()["value"]

    cloud.directory.synchronize([computer])
    cloud.directory.synchronize([computer])
    (pending,) = await shown()
    assert (pending["trustType"], pending["onPremisesSecurityIdentifier"]) == ("ServerAd", computer.sid)
    assert pending["alternativeSecurityIds"] == [] and pending["registrationDateTime"] is None
    assert cloud.directory.register_computer("S-1-5-21-1-2-3-2002") is None
    assert cloud.directory.register_computer(computer.sid)
    (registered,) = await shown()
    assert registered["alternativeSecurityIds"] and registered["registrationDateTime"]
    cloud.directory.synchronize([])
    assert await shown() == []


# Intune


async def test_enrolment(clients: CloudClients, cloud: Cloud) -> None:
    device = join(cloud)
    managed = await cloud.directory.enroll_device(device)
    assert managed
    shown = await clients.graph.device_management.managed_devices.by_managed_device_id(managed["id"]).get()
    assert shown and shown.management_state == ManagementState.Managed
    assert shown.azure_a_d_device_id == device["deviceId"] and shown.device_name == "CPC-ADA"
    entra = await clients.graph.devices.by_device_id(device["id"]).get()
    assert entra and entra.is_managed and entra.mdm_app_id == "0000000a-0000-0000-c000-000000000000"


async def test_no_enrolment_without_a_device(cloud: Cloud) -> None:
    device = join(cloud)
    cloud.directory.delete_device(device["id"])
    assert await cloud.directory.enroll_device(device) is None
    assert cloud.directory.managed_devices == {}


async def test_newest_enrolment_has_no_word_in_the_stable_version(graph: httpx.AsyncClient, cloud: Cloud) -> None:
    id = (await enroll(cloud))["id"]
    stable = (await graph.get(f"/deviceManagement/managedDevices/{id}")).json()
    assert stable["deviceEnrollmentType"] == "unknownFutureValue"
    beta = (await graph.get(f"{cloud.base_url}/beta/deviceManagement/managedDevices('{id}')")).json()
    assert beta["deviceEnrollmentType"] == "azureAdJoinUsingAzureVmExtension"


async def test_intune_filters_by_little(graph: httpx.AsyncClient, cloud: Cloud) -> None:
    one, two = await enroll(cloud, "CPC-1"), await enroll(cloud, "CPC-2")

    async def found(expression: str) -> list[str]:
        return names(await graph.get("/deviceManagement/managedDevices", params={"$filter": expression}))

    assert await found("deviceName eq 'cpc-1'") == ["CPC-1"]
    assert await found(f"azureADDeviceId eq '{two['azureADDeviceId']}'") == ["CPC-2"]
    assert await found("serialNumber eq 'none'") == ["CPC-1", "CPC-2"]
    assert await found("deviceName ne 'CPC-1'") == ["CPC-1"]
    both = [f"azureADDeviceId eq '{device['azureADDeviceId']}'" for device in (one, two)]
    assert await found(" or ".join(both)) == ["CPC-1"]


def reference(clients: CloudClients, device_id: str, user: str, method: Method = Method.POST) -> RequestInformation:
    template = "{+baseurl}/deviceManagement/managedDevices/{id}/users/$ref"
    request = RequestInformation(method, template, {"id": device_id})
    if method == Method.POST:
        body = {"@odata.id": f"https://graph.microsoft.com/beta/users/{user}"}
        request.set_stream_content(json.dumps(body).encode(), "application/json")
    return request


async def primary_users(clients: CloudClients, device_id: str) -> list[str | None]:
    users = await clients.graph.device_management.managed_devices.by_managed_device_id(device_id).users.get()
    return [user.user_principal_name for user in (users and users.value) or []]


async def test_primary_user_is_replaced_and_removed(clients: CloudClients, cloud: Cloud) -> None:
    id = (await enroll(cloud))["id"]
    assert await primary_users(clients, id) == []
    for user, name in ((ADA, "ada@contoso.com"), (GRACE, "grace@contoso.com")):
        await clients.graph_adapter.send_no_response_content_async(reference(clients, id, user), {"XXX": ODataError})
        assert await primary_users(clients, id) == [name]
    await clients.graph_adapter.send_no_response_content_async(
        reference(clients, id, "", Method.DELETE), {"XXX": ODataError}
    )
    assert await primary_users(clients, id) == []
    assert [entry.effect for entry in cloud.ledger.entries] == ["updated"] * 3


async def test_primary_user_is_named_later(graph: httpx.AsyncClient, cloud: Cloud) -> None:
    path = f"/deviceManagement/managedDevices/{(await enroll(cloud))['id']}/users"
    cloud.clock.speed = 1
    body = {"@odata.id": f"https://graph.microsoft.com/beta/users/{ADA}"}
    assert (await graph.post(f"{path}/$ref", json=body)).status_code == 204
    assert (await graph.get(path)).json()["value"] == []


async def test_refused_primary_users(graph: httpx.AsyncClient, cloud: Cloud) -> None:
    path = f"/deviceManagement/managedDevices/{(await enroll(cloud))['id']}/users"
    for user, text in (("ada@contoso.com", "must be in the form of Guid"), (NOBODY, "fef."), (EDSGER, "fef.")):
        refused = await graph.post(f"{path}/$ref", json={"@odata.id": f"https://graph.microsoft.com/v1.0/users/{user}"})
        assert failure(refused) == (400, "BadRequest")
        assert text in json.loads(refused.json()["error"]["message"])["Message"]
    body = {"@odata.id": f"https://graph.microsoft.com/beta/users/{ADA}"}
    assert failure(await graph.post(path, json=body)) == (400, "BadRequest")
    missing = f"/deviceManagement/managedDevices/{NOBODY}/users/$ref"
    assert failure(await graph.post(missing, json=body)) == (404, "ResourceNotFound")
    assert failure(await graph.post(f"{path}/$ref", content=b"no json")) == (400, "BadRequest")


async def test_device_actions(clients: CloudClients, cloud: Cloud) -> None:
    id = (await enroll(cloud))["id"]
    device = clients.graph.device_management.managed_devices.by_managed_device_id(id)
    await device.sync_device.post()
    await device.reboot_now.post()
    await device.retire.post()
    assert [entry.effect for entry in cloud.ledger.entries] == ["invoked"] * 3
    with pytest.raises(ODataError) as raised:
        await device.get()
    assert raised.value.response_status_code == 404
    assert cloud.directory.devices == {}


async def test_managed_device_is_deleted(clients: CloudClients, cloud: Cloud) -> None:
    id = (await enroll(cloud))["id"]
    cloud.directory.set_primary_user(id, ADA)
    await clients.graph.device_management.managed_devices.by_managed_device_id(id).delete()
    with pytest.raises(ODataError):
        await clients.graph.device_management.managed_devices.by_managed_device_id(id).delete()
    inventory = cloud.directory.inventory()
    assert inventory["managedDevices"] == [] and len(cloud.directory.devices) == 1


# Single sign-on, and the service as a whole


async def test_single_sign_on_is_enabled(clients: CloudClients) -> None:
    for app_id in ("a4a365df-50f1-4397-bc59-1a1564b8bb9c", "270efc09-cd0d-444b-a71f-39af4910ec45"):
        principal = await clients.graph.service_principals_with_app_id(app_id).get()
        assert principal and principal.id
        item = clients.graph.service_principals.by_service_principal_id(principal.id)
        configuration = await item.remote_desktop_security_configuration.get()
        assert configuration and configuration.is_remote_desktop_protocol_enabled


async def test_doubled_slashes_are_folded(graph: httpx.AsyncClient, cloud: Cloud) -> None:
    assert (await graph.get(f"{cloud.base_url}/v1.0//users/{ADA}")).status_code == 200


async def test_answers_say_what_they_are(graph: httpx.AsyncClient, cloud: Cloud) -> None:
    answer = await graph.get(f"/users/{ADA}?$select=id,mail", headers={"client-request-id": "mine"})
    assert answer.json()["@odata.context"] == f"{cloud.base_url}/v1.0/$metadata#users(id,mail)/$entity"
    assert answer.json().keys() == {"@odata.context", "id", "mail"}
    assert answer.headers["client-request-id"] == "mine"


async def test_unknown_addresses(graph: httpx.AsyncClient) -> None:
    assert failure(await graph.get("/cloudPCs")) == (400, "BadRequest")
    assert failure(await graph.get("/devices/not-a-guid")) == (400, "Request_BadRequest")
    assert failure(await graph.post("/users", json={})) == (405, "Request_BadRequest")
