"""Users of Entra ID."""

from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder
from temporalio import activity

from activities.errors import failure
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
            ApplicationError: `UserNotFound`, `UserDisabled` or `UserNotSynchronized`.

        """
        query = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters(
            select=[
                "id",
                "userPrincipalName",
                "displayName",
                "accountEnabled",
                "onPremisesUserPrincipalName",
                "onPremisesSyncEnabled",
            ]
        )
        try:
            user = await self._graph.users.by_user_id(request.user).get(RequestConfiguration(query_parameters=query))
        except ODataError as error:
            if error.response_status_code != 404:
                raise
            user = None
        if user is None or not user.id or not user.user_principal_name:
            raise failure("UserNotFound", f"Entra ID knows no user {request.user}")
        if not user.account_enabled:
            raise failure("UserDisabled", f"the account of {request.user} is disabled")
        if request.needs_synchronization and not user.on_premises_sync_enabled:
            raise failure("UserNotSynchronized", f"{request.user} is not synchronised from Active Directory")
        return FoundUser(
            user=User(
                id=user.id,
                user_principal_name=user.user_principal_name,
                display_name=user.display_name or user.user_principal_name,
                on_premises_user_principal_name=user.on_premises_user_principal_name,
            )
        )
