"""Microsoft.DesktopVirtualization: how users reach their machines. Nothing here is a long-running operation."""

import base64
import json
import math
import time
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from simulator.arm.call import Call
from simulator.arm.errors import ArmError
from simulator.arm.ids import parent_of
from simulator.arm.network import has_outbound_access
from simulator.arm.operations import Operations
from simulator.arm.resource_type import ResourceType, object_in
from simulator.arm.store import Resource
from simulator.cloud import Cloud
from simulator.faults import FaultKind
from simulator.windows.guest import Guest

HOST_POOLS = "Microsoft.DesktopVirtualization/hostPools"
SESSION_HOSTS = "Microsoft.DesktopVirtualization/hostPools/sessionHosts"
USER_SESSIONS = "Microsoft.DesktopVirtualization/hostPools/sessionHosts/userSessions"
APPLICATION_GROUPS = "Microsoft.DesktopVirtualization/applicationGroups"
DESKTOPS = "Microsoft.DesktopVirtualization/applicationGroups/desktops"
WORKSPACES = "Microsoft.DesktopVirtualization/workspaces"

AVAILABLE_SECONDS = 120
"""How long a new session host is `Unavailable` while its agent brings itself up to date."""

_CHOICES = {
    "hostPoolType": ("Personal", "Pooled", "BYODesktop"),
    "loadBalancerType": ("BreadthFirst", "DepthFirst", "Persistent"),
    "preferredAppGroupType": ("None", "Desktop", "RailApplications"),
    "applicationGroupType": ("RemoteApp", "Desktop"),
}


class DesktopResourceType(ResourceType):
    """What the types of Microsoft.DesktopVirtualization have in common."""

    async def list(self, call: Call, below: str) -> web.Response:
        """List the resources below a scope, a page at a time when the client asks for pages."""
        found = [self.view(resource, call) for resource in self.store.list(self.type, below)]
        skip, size = int(call.query.get("initialskip", 0)), int(call.query.get("pagesize", 0)) or len(found)
        answer: dict[str, Any] = {"value": found[skip : skip + size]}
        if skip + size < len(found):
            query = {"api-version": call.api_version, "pageSize": size, "initialSkip": skip + size}
            answer["nextLink"] = f"{self.cloud.base_url}{call.path}?{urlencode(query)}"
        return web.json_response(answer)

    def fill_in(self, resource: Resource, existing: Resource | None) -> None:
        """Add what every object of the service carries."""
        kept = existing.properties["objectId"] if existing else self.cloud.new_id("objectId")
        resource.properties["objectId"] = kept
        if self.is_tracked:
            resource.properties["cloudPcResource"] = False


class HostPools(DesktopResourceType):
    """Host pools. What a pool remembers in `private`: `registration`, its token with `expirationTime`."""

    type = HOST_POOLS

    def __init__(self, cloud: Cloud, operations: Operations) -> None:
        super().__init__(cloud, operations)
        self.actions = {
            "retrieveregistrationtoken": self._retrieve_registration_token,
            "listregistrationtokens": self._list_registration_tokens,
        }

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check the pool; a `registrationInfo` of operation `Update` makes a new token."""
        properties = resource.properties
        _check_choices(properties, ("hostPoolType", "loadBalancerType", "preferredAppGroupType"))
        if (properties["hostPoolType"] == "Personal") != (properties["loadBalancerType"] == "Persistent"):
            raise _bad_request("LoadBalancerType Persistent goes with HostPoolType Personal and only with it.")
        if existing and existing.properties["hostPoolType"] != properties["hostPoolType"]:
            raise _bad_request("HostPoolType cannot be changed.")
        properties.pop("applicationGroupReferences", None)
        wanted: dict[str, Any] = properties.pop("registrationInfo", None) or {}
        match wanted.get("registrationTokenOperation"):
            case "Update":
                resource.private["registration"] = self._new_registration(resource, wanted)
            case "Delete":
                resource.private.pop("registration", None)
            case _:
                pass
        properties.setdefault("startVMOnConnect", False)
        properties.setdefault("validationEnvironment", False)
        properties.setdefault("maxSessionLimit", 999_999)
        properties.setdefault("publicNetworkAccess", "Enabled")
        if properties["hostPoolType"] == "Personal":
            properties.setdefault("personalDesktopAssignmentType", "Automatic")
        self.fill_in(resource, existing)
        return True

    def _new_registration(self, resource: Resource, wanted: dict[str, Any]) -> dict[str, Any]:
        expiration = str(wanted.get("expirationTime", ""))
        try:
            seconds = (datetime.fromisoformat(expiration) - self.cloud.clock.now()).total_seconds()
        except (ValueError, TypeError) as error:
            raise _bad_request(f"ExpirationTime '{expiration}' is no point in time.") from error
        if not 3600 - 60 <= seconds <= 27 * 24 * 3600 + 60:
            raise _bad_request("ExpirationTime must be between 1 hour and 27 days from now.")
        claims = {"RegistrationId": self.cloud.new_id("registration"), "GlobalBrokerUri": "", "exp": expiration}
        signed = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
        signature = self.cloud.new_id("signature").encode()
        token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*signed, signature))
        return {"expirationTime": expiration, "token": token, "registrationTokenOperation": "None"}

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the pool; its token only as the answer to the request that made it."""
        groups = [group.id for group in self._application_groups(resource)]
        properties = {**resource.properties, "applicationGroupReferences": groups}
        registration: dict[str, Any] | None = resource.private.get("registration")
        if registration and call and "registrationInfo" in object_in(call.body, "properties"):
            properties["registrationInfo"] = registration
        elif registration:
            properties["registrationInfo"] = {"expirationTime": registration["expirationTime"]}
            properties["registrationInfo"]["registrationTokenOperation"] = "None"
        return {**resource.body, "properties": properties}

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while application groups use the pool, and without force while it has session hosts."""
        if self._application_groups(resource):
            raise _bad_request(f"HostPool {resource.name} cannot be deleted: it has application groups.")
        if self.store.children(resource.id, SESSION_HOSTS) and not call.flag("force"):
            raise _bad_request(f"HostPool {resource.name} cannot be deleted: it has session hosts. Use force=true.")

    def _application_groups(self, pool: Resource) -> list[Resource]:
        groups = self.store.list(APPLICATION_GROUPS)
        return [group for group in groups if group.properties["hostPoolArmPath"].lower() == pool.id.lower()]

    async def _retrieve_registration_token(self, resource: Resource, call: Call) -> web.Response:
        return web.json_response(resource.private.get("registration") or {"registrationTokenOperation": "None"})

    async def _list_registration_tokens(self, resource: Resource, call: Call) -> web.Response:
        registration: dict[str, Any] | None = resource.private.get("registration")
        tokens = [{name: registration[name] for name in ("expirationTime", "token")}] if registration else []
        return web.json_response({"value": tokens})


class SessionHosts(DesktopResourceType):
    """Session hosts: they register themselves and can be assigned and deleted."""

    type = SESSION_HOSTS
    is_tracked = False

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check a change of the assigned user or of whether sessions are allowed."""
        if existing is None:
            raise ArmError(405, "MethodNotAllowed", "Session hosts register themselves.")
        asked = object_in(call.body, "properties")
        if unknown := set(asked) - {"allowNewSession", "assignedUser", "friendlyName"}:
            raise _bad_request(f"SessionHost properties that cannot be changed: {', '.join(sorted(unknown))}.")
        resource.body["properties"] = {**existing.properties, **asked}
        old, new = existing.properties.get("assignedUser", ""), asked.get("assignedUser")
        if new is None or new.lower() == old.lower():
            return True
        pool = self.store.get(parent_of(resource.id))
        if pool is None or pool.properties["hostPoolType"] != "Personal":
            raise _bad_request("AssignedUser can be set for session hosts of personal host pools only.")
        if old and not call.flag("force"):
            raise _bad_request(f"SessionHost {existing.name} is assigned to {old}. Use force=true to change that.")
        if not new:
            resource.properties.pop("assignedUser", None)
        return True

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the session host with the state that its machine is in."""
        machine = self.store.get(resource.properties["resourceId"])
        guest = self.cloud.guests.get(resource.properties["resourceId"].lower())
        is_ours = machine is not None and machine.properties["vmId"] == resource.properties["virtualMachineId"]
        properties = dict(resource.properties)
        if machine is None or guest is None or not is_ours:
            properties["status"] = "Unavailable"
            return {**resource.body, "properties": properties}
        joined = guest.entra_joined or guest.domain is not None
        if machine.private["power_state"] != "running":
            properties["status"] = "Shutdown"
        elif time.monotonic() < resource.private["available_at"]:
            properties["status"] = "Unavailable"
        else:
            properties["status"] = "Available" if joined else "NotJoinedToDomain"
        result = "HealthCheckSucceeded" if joined else "HealthCheckFailed"
        now = self.cloud.clock.timestamp()
        details = {"message": "", "errorCode": 0 if joined else -2146233088, "lastHealthCheckDateTime": now}
        properties["sessionHostHealthCheckResults"] = [
            {
                "healthCheckName": "DomainJoinedCheck",
                "healthCheckResult": result,
                "additionalFailureDetails": details,
            }
        ]
        properties["lastHeartBeat"] = now
        return {**resource.body, "properties": properties}


class UserSessions(DesktopResourceType):
    """Sessions of users; nobody ever signs in here."""

    type = USER_SESSIONS
    is_tracked = False


class ApplicationGroups(DesktopResourceType):
    """Application groups; one of type `Desktop` has one desktop."""

    type = APPLICATION_GROUPS

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check the host pool and make the desktop."""
        properties = resource.properties
        _check_choices(properties, ("applicationGroupType",))
        pool = self.store.get(str(properties.get("hostPoolArmPath", "")))
        if pool is None or pool.type != HOST_POOLS:
            raise _bad_request(f"HostPoolArmPath '{properties.get('hostPoolArmPath')}' does not exist.")
        is_desktop = properties["applicationGroupType"] == "Desktop"
        for other in self.store.list(APPLICATION_GROUPS):
            is_rival = other is not existing and other.properties["hostPoolArmPath"] == pool.id
            if is_rival and is_desktop and other.properties["applicationGroupType"] == "Desktop":
                raise _bad_request(f"HostPool {pool.name} has a desktop application group already: {other.name}.")
        properties["hostPoolArmPath"] = pool.id
        properties.pop("workspaceArmPath", None)
        self.fill_in(resource, existing)
        if existing is None and is_desktop:
            desktop = Resource(f"{resource.id}/desktops/SessionDesktop", DESKTOPS, {}, {})
            desktop.body = {"id": desktop.id, "name": desktop.name, "type": DESKTOPS}
            desktop.body["properties"] = {"objectId": self.cloud.new_id("objectId"), "friendlyName": "SessionDesktop"}
            self.store.add(desktop)
        return True

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the group with the workspace that shows it."""
        for workspace in self.store.list(WORKSPACES):
            if resource.id.lower() in map(str.lower, workspace.properties["applicationGroupReferences"]):
                return {**resource.body, "properties": {**resource.properties, "workspaceArmPath": workspace.id}}
        return resource.body

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while a workspace shows it."""
        if workspace := self.view(resource)["properties"].get("workspaceArmPath"):
            raise _bad_request(f"ApplicationGroup {resource.name} is registered to the workspace {workspace}.")


class Desktops(DesktopResourceType):
    """Desktops of application groups; they can be renamed."""

    type = DESKTOPS
    is_tracked = False

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Keep what cannot be changed."""
        if existing is None:
            raise ArmError(405, "MethodNotAllowed", "Desktops come with their application groups.")
        self.fill_in(resource, existing)
        return True


class Workspaces(DesktopResourceType):
    """Workspaces: what a user's feed is made of."""

    type = WORKSPACES

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check the application groups; the list replaces the one that there is."""
        references: list[str] = resource.properties.get("applicationGroupReferences") or []
        groups = [self.store.get(reference) for reference in references]
        for reference, group in zip(references, groups, strict=True):
            if group is None or group.type != APPLICATION_GROUPS:
                raise _bad_request(f"ApplicationGroup '{reference}' does not exist.")
        resource.properties["applicationGroupReferences"] = [group.id for group in groups if group]
        resource.properties.setdefault("publicNetworkAccess", "Enabled")
        self.fill_in(resource, existing)
        return True


DESKTOP_TYPES = (HostPools, SessionHosts, UserSessions, ApplicationGroups, Desktops, Workspaces)


def register_session_host(cloud: Cloud, machine: Resource, guest: Guest) -> None:
    """Take a machine into the host pool whose live token its agent holds; a token of no pool leads nowhere.

    A name that another machine's session host has must be freed first.
    """
    token = guest.avd_registration_token
    interfaces = machine.properties["networkProfile"]["networkInterfaces"]
    if not token or not has_outbound_access(cloud.resources, (interface["id"] for interface in interfaces)):
        return
    pool = next((p for p in cloud.resources.list(HOST_POOLS) if _is_live(p, token, cloud.clock.now())), None)
    if pool is None:
        return
    name = f"{guest.computer_name}.{guest.domain}" if guest.domain else guest.computer_name
    session_host_id = f"{pool.id}/sessionHosts/{name}"
    if (other := cloud.resources.get(session_host_id)) is not None:
        if other.properties["virtualMachineId"] == machine.properties["vmId"]:
            guest.avd_registered()
        return
    now = cloud.clock.timestamp()
    session_host = Resource(session_host_id, SESSION_HOSTS, {}, {})
    session_host.private["available_at"] = time.monotonic() + cloud.clock.real_seconds(AVAILABLE_SECONDS)
    session_host.body = {"id": session_host_id, "name": session_host.name, "type": SESSION_HOSTS}
    session_host.body["properties"] = {
        "objectId": cloud.new_id("objectId"),
        "resourceId": machine.id,
        "virtualMachineId": machine.properties["vmId"],
        "status": "Unavailable",
        "statusTimestamp": now,
        "lastHeartBeat": now,
        "lastUpdateTime": now,
        "updateState": "Succeeded",
        "allowNewSession": True,
        "sessions": 0,
        "agentVersion": "1.0.9742.2500",
        "sxSStackVersion": "rdp-sxs240705700",
        "osVersion": f"10.0.{guest.os_build}",
    }
    if cloud.faults.strikes(FaultKind.SESSION_HOST_UNAVAILABLE, session_host_id):
        session_host.private["available_at"] = math.inf
        cloud.spawn(_recover(cloud, session_host))
    cloud.resources.add(session_host)
    guest.avd_registered()


async def _recover(cloud: Cloud, session_host: Resource) -> None:
    await cloud.faults.until_stopped()
    session_host.private["available_at"] = 0.0


def _is_live(pool: Resource, token: str, now: datetime) -> bool:
    registration: dict[str, Any] = pool.private.get("registration") or {}
    return registration.get("token") == token and datetime.fromisoformat(registration["expirationTime"]) > now


def _check_choices(properties: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if properties.get(name) not in _CHOICES[name]:
            raise _bad_request(f"{name} must be one of {', '.join(_CHOICES[name])}.")


def _bad_request(message: str) -> ArmError:
    return ArmError(400, "BadRequest", message)
