"""The managed devices of Microsoft Intune."""

from http import HTTPStatus

from aiohttp import web

from simulator.cloud import Cloud
from simulator.graph.answers import INTUNE_PAGE, Json, candidates, entity, no_content, page
from simulator.graph.call import Call
from simulator.graph.entities import MANAGED_DEVICE, USER
from simulator.graph.entra_objects import GUID
from simulator.graph.errors import GraphError, bad_request, intune_error
from simulator.graph.odata import And, Condition, Expression, Or, matches

FILTERABLE = frozenset({"azureADDeviceId", "deviceName"})
"""The properties by which managed devices are really filtered."""


def intune_matches(expression: Expression, device: Json) -> bool:
    """Return whether Intune returns a device for a filter.

    Intune ignores what it cannot filter by, of an `or` it sees the first part only, and takes `ne` for `eq`.
    Sources: https://github.com/microsoftgraph/microsoft-graph-docs/issues/19890,
    https://github.com/microsoftgraph/msgraph-beta-sdk-dotnet/issues/1156 and
    https://github.com/microsoft/Intune-PowerShell-SDK/issues/114
    """
    match expression:
        case And(left, right):
            return intune_matches(left, device) and intune_matches(right, device)
        case Or(left, _):
            return intune_matches(left, device)
        case Condition((name,), "eq" | "ne", value) if name in FILTERABLE:
            return matches(Condition((name,), "eq", value), device)
        case _:
            return True


class IntuneDevices:
    """The collection `deviceManagement/managedDevices`.

    Source: https://learn.microsoft.com/graph/api/resources/intune-devices-manageddevice
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._directory = cloud.directory

    def answer(self, call: Call) -> web.Response | None:
        """Answer a request, or return None when there is no such address.

        Raises:
            GraphError: It failed.

        """
        match call.method, call.segments[1:]:
            case "GET", ["managedDevices"]:
                found = candidates(call, self._directory.managed_devices)
                devices = [_as_of(call.version, device) for device in found]
                return page(
                    call,
                    MANAGED_DEVICE,
                    devices,
                    limits=INTUNE_PAGE,
                    matches=intune_matches,
                    shows_count=call.wants_count,
                )
            case "GET", ["managedDevices", id]:
                return entity(call, MANAGED_DEVICE, _as_of(call.version, self._device(call, id)))
            case "DELETE", ["managedDevices", id]:
                self._directory.delete_managed_device(self._device(call, id)["id"])
                call.entry.effect = "deleted"
                return no_content()
            case "GET", ["managedDevices", id, "users"]:
                return self._primary_users(call, self._device(call, id)["id"])
            case "POST", ["managedDevices", id, "users", "$ref"]:
                return self._set_primary_user(call, self._device(call, id)["id"])
            case "DELETE", ["managedDevices", id, "users", "$ref"]:
                self._directory.set_primary_user(self._device(call, id)["id"], None)
                call.entry.effect = "updated"
                return no_content()
            case "POST" | "PATCH" | "PUT", ["managedDevices", _, "users"]:
                message = "Write requests are only supported on contained entities or navigation properties with"
                raise bad_request(f"{message} bindings.")
            case "POST", ["managedDevices", id, "syncDevice" | "rebootNow" | "retire" | "wipe" as action]:
                return self._act(call, self._device(call, id), action)
            case _:
                return None

    def _device(self, call: Call, id: str) -> Json:
        if id not in self._directory.managed_devices:
            raise self._error(call, HTTPStatus.NOT_FOUND, "ResourceNotFound", "Resource not found")
        return self._directory.managed_devices[id]

    def _primary_users(self, call: Call, id: str) -> web.Response:
        user = self._directory.users.get(self._directory.primary_users.get(id, ""))
        return page(
            call,
            USER,
            [] if user is None else [user],
            limits=INTUNE_PAGE,
            matches=intune_matches,
            shows_count=call.wants_count,
            target=f"{MANAGED_DEVICE.entity_set}('{id}')/users",
        )

    def _set_primary_user(self, call: Call, id: str) -> web.Response:
        user_id = call.referenced_id()
        if not GUID.fullmatch(user_id):
            raise self._error(call, HTTPStatus.BAD_REQUEST, "BadRequest", "User id must be in the form of Guid")
        user = self._directory.users.get(user_id.lower())
        if user is None or not self._directory.has_intune_license(user):
            raise self._error(call, HTTPStatus.BAD_REQUEST, "BadRequest", "An error has occurred")
        self._directory.set_primary_user(id, user["id"])
        call.entry.effect = "updated"
        return no_content()

    def _act(self, call: Call, device: Json, action: str) -> web.Response:
        now = self._cloud.clock.timestamp()
        device["deviceActionResults"] = [
            *device["deviceActionResults"],
            {"actionName": action, "actionState": "pending", "startDateTime": now, "lastUpdatedDateTime": now},
        ]
        match action:
            case "syncDevice":
                device["lastSyncDateTime"] = now
            case "retire":
                self._directory.retire_managed_device(device["id"])
            case "wipe":
                self._directory.wipe_managed_device(device["id"])
            case _:
                pass
        call.entry.effect = "invoked"
        return no_content()

    def _error(self, call: Call, status: int, code: str, message: str) -> GraphError:
        path = f"/managedDevices('{call.segments[2]}')" + "".join(f"/{segment}" for segment in call.segments[3:])
        return intune_error(status, code, message, path=path, activity_id=call.id)


def _as_of(version: str, device: Json) -> Json:
    """Return a managed device in the words of an API version: v1.0 has no word for the newest enrolment."""
    enrollment = device["deviceEnrollmentType"]
    if version == "v1.0" and enrollment == "azureAdJoinUsingAzureVmExtension":
        enrollment = "unknownFutureValue"
    return {**device, "deviceEnrollmentType": enrollment}
