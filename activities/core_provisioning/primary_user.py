"""Step 6: the Intune primary user."""

import json
from http import HTTPStatus

from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from temporalio import activity

from cloud.clients import CloudClients
from cloud.errors import not_yet
from cloud.graph.devices import Devices
from contract import steps
from contract.core_provisioning import AssignPrimaryUserInput, PrimaryUser

_LOOKS_PER_REQUEST = 10
"""How often the primary user is looked at before it is set again."""


class PrimaryUserAssignment:
    """Makes a user the primary user of a managed device.

    Source: https://learn.microsoft.com/mem/intune/remote-actions/find-primary-user; the request is that
    of Microsoft's own sample, for the SDK has no method for it.
    """

    def __init__(self, clients: CloudClients) -> None:
        self._devices = Devices(clients)
        self._adapter = clients.graph_adapter
        self._graph_url = clients.settings.graph_url
        self._poll_interval = clients.settings.poll_interval

    @steps.ASSIGN_PRIMARY_USER.implemented_by
    async def assign_primary_user(self, request: AssignPrimaryUserInput) -> PrimaryUser:
        """Return the primary user as Intune names them.

        Raises:
            ApplicationError: `NotYet` until Intune names the user, for up to 10 minutes.

        """
        device_id, user = request.managed_device_id, request.user
        missing = not_yet(
            f"Intune does not name {user.id} as primary user",
            self._poll_interval,
            "give the user an Intune licence, then reprovision",
        )
        try:
            if await self._devices.primary_users(device_id) == [user.id]:
                return PrimaryUser(user_principal_name=user.user_principal_name, detail=user.user_principal_name)
            # Intune takes its time to show what was set, and allows few writes.
            if activity.info().attempt % _LOOKS_PER_REQUEST == 1:
                await self._set_primary_user(device_id, user.id)
        except ODataError as error:
            # A managed device that has just enrolled is not known everywhere.
            if error.response_status_code != HTTPStatus.NOT_FOUND:
                raise
        raise missing

    async def _set_primary_user(self, managed_device_id: str, user_id: str) -> None:
        reference = RequestInformation(
            Method.POST, "{+baseurl}/deviceManagement/managedDevices/{id}/users/$ref", {"id": managed_device_id}
        )
        # Intune understands a reference to the beta endpoint only.
        body = {"@odata.id": f"{self._graph_url}/beta/users/{user_id}"}
        reference.set_stream_content(json.dumps(body).encode(), "application/json")
        await self._adapter.send_no_response_content_async(reference, {"XXX": ODataError})
