"""Step 6: the Intune primary user."""

import json

from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from temporalio import activity

from activities.errors import not_yet
from activities.signatures import AssignPrimaryUserInput, PrimaryUser
from cloud.clients import CloudClients


class PrimaryUserAssignment:
    """Makes a user the primary user of a managed device.

    Source: https://learn.microsoft.com/mem/intune/remote-actions/find-primary-user; the request is that
    of Microsoft's own sample, for the SDK has no method for it.
    """

    def __init__(self, clients: CloudClients) -> None:
        self._graph = clients.graph
        self._adapter = clients.graph_adapter
        self._poll_interval = clients.settings.poll_interval

    @activity.defn
    async def assign_primary_user(self, request: AssignPrimaryUserInput) -> PrimaryUser:
        """Return the primary user as Intune names them.

        Raises:
            ApplicationError: `NotYet` until Intune names the user, for up to 10 minutes.

        """
        device_id, user = request.managed_device_id, request.user
        if not await self._is_primary_user(device_id, user.id):
            reference = RequestInformation(
                Method.POST, "{+baseurl}/deviceManagement/managedDevices/{id}/users/$ref", {"id": device_id}
            )
            # Intune understands a reference to the beta endpoint only.
            body = {"@odata.id": f"https://graph.microsoft.com/beta/users/{user.id}"}
            reference.set_stream_content(json.dumps(body).encode(), "application/json")
            await self._adapter.send_no_response_content_async(reference, {"XXX": ODataError})
            if not await self._is_primary_user(device_id, user.id):
                raise not_yet(f"Intune does not name {user.id} as primary user", self._poll_interval)
        return PrimaryUser(user_principal_name=user.user_principal_name, detail=user.user_principal_name)

    async def _is_primary_user(self, managed_device_id: str, user_id: str) -> bool:
        users = await self._graph.device_management.managed_devices.by_managed_device_id(managed_device_id).users.get()
        return [user.id for user in (users.value or []) if users] == [user_id] if users else False
