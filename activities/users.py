"""Users of Entra ID."""

from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder
from temporalio import activity

from activities.errors import terminal
from activities.signatures import FindUserInput, FoundUser
from cloud.clients import CloudClients
from models.cloud_pc import User


class Users:
    """Looks users up. Source: https://learn.microsoft.com/graph/api/user-get."""

    def __init__(self, clients: CloudClients) -> None:
        self._graph = clients.graph

    @activity.defn
    async def find_user(self, request: FindUserInput) -> FoundUser:
        """Return the enabled user of this user principal name or object id.

        Raises:
            ApplicationError: `UserNotFound` or `UserDisabled`.

        """
        query = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters(
            select=["id", "userPrincipalName", "displayName", "accountEnabled", "onPremisesUserPrincipalName"]
        )
        try:
            user = await self._graph.users.by_user_id(request.user).get(RequestConfiguration(query_parameters=query))
        except ODataError as error:
            if error.response_status_code != 404:
                raise
            user = None
        if user is None or not user.id or not user.user_principal_name:
            raise terminal("UserNotFound", f"Entra ID knows no user {request.user}", "correct the user")
        if not user.account_enabled:
            raise terminal("UserDisabled", f"the account of {request.user} is disabled", "enable the account")
        return FoundUser(
            user=User(
                id=user.id,
                user_principal_name=user.user_principal_name,
                display_name=user.display_name or user.user_principal_name,
                on_premises_user_principal_name=user.on_premises_user_principal_name,
            )
        )
