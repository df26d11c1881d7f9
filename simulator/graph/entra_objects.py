"""Users, groups, devices and service principals of Microsoft Entra ID, and what is bought."""

import re
from collections.abc import Iterator, Mapping

from aiohttp import web

from simulator.cloud import TENANT_ID, Cloud
from simulator.graph.answers import Json, candidates, cast_type, count, directory_page, entity, no_content, typed
from simulator.graph.call import Call
from simulator.graph.entities import (
    DEVICE,
    DIRECTORY_OBJECT,
    GROUP,
    LICENSE_DETAILS,
    SERVICE_PRINCIPAL,
    SUBSCRIBED_SKU,
    USER,
    EntityType,
)
from simulator.graph.errors import GraphError, bad_request, no_such_object, unsupported_query

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""What an object id looks like."""

_ALTERNATE_KEY = re.compile(r"(?P<name>\w+)='(?P<value>.*)'")


class EntraObjects:
    """The collections of the directory.

    Source: https://learn.microsoft.com/graph/api/resources/directoryobject
    """

    def __init__(self, cloud: Cloud) -> None:
        self._directory = cloud.directory

    def answer(self, call: Call) -> web.Response | None:
        """Answer a request, or return None when there is no such address.

        Raises:
            GraphError: It failed.

        """
        return self._read(call) if call.method == "GET" else self._write(call)

    def _read(self, call: Call) -> web.Response | None:
        match call.segments:
            case ["users"]:
                return directory_page(call, USER, self._users())
            case ["users", "$count"]:
                return count(call, USER, self._users())
            case ["users", key]:
                return entity(call, USER, self._user(key))
            case ["users", key, "licenseDetails"]:
                return self._license_details(call, self._user(key))
            case ["subscribedSkus"]:
                return directory_page(call, SUBSCRIBED_SKU, self._subscribed_skus())
            case ["groups"]:
                return directory_page(call, GROUP, self._directory.groups.values())
            case ["groups", "$count"]:
                return count(call, GROUP, self._directory.groups.values())
            case ["groups", key]:
                return entity(call, GROUP, _find(self._directory.groups, key))
            case ["groups", key, "members" | "transitiveMembers" as relation, *rest]:
                return self._read_members(call, key, relation, rest)
            case ["devices"]:
                return directory_page(call, DEVICE, candidates(call, self._directory.visible_devices))
            case ["devices", "$count"]:
                return count(call, DEVICE, self._directory.visible_devices.values())
            case ["devices", key]:
                return entity(call, DEVICE, _find(self._directory.visible_devices, key, "deviceId"))
            case ["servicePrincipals"]:
                return directory_page(call, SERVICE_PRINCIPAL, self._directory.service_principals.values())
            case ["servicePrincipals", key]:
                return entity(call, SERVICE_PRINCIPAL, self._service_principal(key))
            case ["servicePrincipals", key, "remoteDesktopSecurityConfiguration"]:
                return self._remote_desktop_configuration(call, self._service_principal(key))
            case _:
                return None

    def _write(self, call: Call) -> web.Response | None:
        match call.method, call.segments:
            case "PATCH", ["devices", key]:
                return self._update_device(call, key)
            case "DELETE", ["devices", key]:
                return self._delete_device(call, key)
            case "POST", ["groups", key, "members", "$ref"]:
                return self._add_member(call, key)
            case "DELETE", ["groups", key, "members", member, "$ref"]:
                return self._remove_member(call, key, member)
            case _:
                return None

    # Users and licences

    def _users(self) -> Iterator[Json]:
        return (self._with_plans(user) for user in self._directory.users.values())

    def _user(self, key: str) -> Json:
        alternate = _ALTERNATE_KEY.fullmatch(key)
        if alternate and alternate["name"] == "userPrincipalName":
            key = alternate["value"].replace("''", "'")
        users = self._directory.users
        for user in (users[key.lower()],) if key.lower() in users else users.by("userPrincipalName", key):
            return self._with_plans(user)
        raise no_such_object(key)

    def _with_plans(self, user: Json) -> Json:
        return {**user, "assignedPlans": self._directory.assigned_plans(user)}

    def _license_details(self, call: Call, user: Json) -> web.Response:
        details = self._directory.license_details(user)
        return directory_page(call, LICENSE_DETAILS, details, target=f"users('{user['id']}')/licenseDetails")

    def _subscribed_skus(self) -> Iterator[Json]:
        for id, sku in self._directory.skus.items():
            consumed = sum(
                license["skuId"] == id
                for user in self._directory.users.values()
                for license in user.get("assignedLicenses", [])
            )
            yield {"id": f"{TENANT_ID}_{id}", "consumedUnits": consumed, **sku}

    # Groups

    def _read_members(self, call: Call, key: str, relation: str, rest: list[str]) -> web.Response | None:
        id = _find(self._directory.groups, key)["id"]
        is_direct = relation == "members"
        ids = self._directory.members[id] if is_direct else self._directory.transitive_members(id)
        members = [self._object(member) for member in ids]
        match rest:
            case []:
                return directory_page(call, DIRECTORY_OBJECT, (typed(type, item) for type, item in members))
            case ["$count"]:
                return count(call, DIRECTORY_OBJECT, (item for _, item in members))
            case [segment] if wanted := cast_type(segment):
                # A cast is an advanced query.
                if not call.is_advanced:
                    raise unsupported_query("Request with OData cast requires ConsistencyLevel:eventual and $count.")
                return directory_page(call, wanted, (item for type, item in members if type is wanted))
            case _:
                return None

    def _add_member(self, call: Call, key: str) -> web.Response:
        members = self._directory.members[_find(self._directory.groups, key)["id"]]
        member = self._object(call.referenced_id())[1]["id"]
        if member in members:
            message = "One or more added object references already exist for the following modified properties: "
            raise GraphError(400, "Request_BadRequest", f"{message}'members'.")
        members.append(member)
        call.entry.effect = "updated"
        return no_content()

    def _remove_member(self, call: Call, key: str, member: str) -> web.Response:
        members = self._directory.members[_find(self._directory.groups, key)["id"]]
        if member not in members:
            raise no_such_object(member)
        members.remove(member)
        call.entry.effect = "updated"
        return no_content()

    def _object(self, id: str) -> tuple[EntityType, Json]:
        directory = self._directory
        if id in directory.users:
            return USER, self._with_plans(directory.users[id])
        for type, objects in (
            (GROUP, directory.groups),
            (DEVICE, directory.devices),
            (SERVICE_PRINCIPAL, directory.service_principals),
        ):
            if id in objects:
                return type, objects[id]
        raise no_such_object(id)

    # Devices

    def _update_device(self, call: Call, key: str) -> web.Response:
        id = self._writable_device(key)
        changes = {name: value for name, value in call.json().items() if name != "@odata.type"}
        if changes.keys() != {"accountEnabled"} or not isinstance(changes["accountEnabled"], bool):
            raise GraphError(400, "Request_BadRequest", "Only accountEnabled can be updated, to true or false.")
        self._directory.update_device(id, changes)
        call.entry.effect = "updated"
        return no_content()

    def _delete_device(self, call: Call, key: str) -> web.Response:
        self._directory.delete_device(self._writable_device(key))
        call.entry.effect = "deleted"
        return no_content()

    def _writable_device(self, key: str) -> str:
        """Return the id of a device that exists and that Graph knows of already."""
        id = _find(self._directory.visible_devices, key, "deviceId")["id"]
        if id not in self._directory.devices:
            raise no_such_object(key)
        return id

    # Service principals

    def _service_principal(self, key: str) -> Json:
        return _find(self._directory.service_principals, key, "appId")

    def _remote_desktop_configuration(self, call: Call, principal: Json) -> web.Response:
        configuration = principal.get("remoteDesktopSecurityConfiguration")
        if configuration is None:
            raise no_such_object("remoteDesktopSecurityConfiguration")
        target = f"servicePrincipals('{principal['id']}')/remoteDesktopSecurityConfiguration/$entity"
        return web.json_response({"@odata.context": call.context(target), **configuration})


def _find(objects: Mapping[str, Json], key: str, alternate_key: str = "") -> Json:
    """Return an object by its id or by `name='value'` of its alternate key."""
    alternate = _ALTERNATE_KEY.fullmatch(key)
    if alternate:
        name, value = alternate["name"], alternate["value"]
        if name != alternate_key:
            raise bad_request(f"The key property '{name}' is not an alternate key.")
        found = next((item for item in objects.values() if item[name].lower() == value.lower()), None)
        if found is None:
            raise no_such_object(value)
        return found
    if not GUID.fullmatch(key):
        raise GraphError(400, "Request_BadRequest", f"Invalid object identifier '{key}'.")
    if key.lower() not in objects:
        raise no_such_object(key)
    return objects[key.lower()]
