"""Users of Entra ID."""

from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder

from cloud.clients import CloudClients
from cloud.errors import failure
from cloud.graph.lists import found
from contract import steps
from contract.users import FindUserInput, FoundUser
from models.cloud_pc import User


class Users:
    """Looks users up. Source: https://learn.microsoft.com/graph/api/user-get."""

    def __init__(self, clients: CloudClients) -> None:
        self._graph = clients.graph

    @steps.FIND_USER.implemented_by
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
        user = await found(self._graph.users.by_user_id(request.user).get(RequestConfiguration(query_parameters=query)))
        if user is None or not user.id or not user.user_principal_name:
            raise failure("UserNotFound", f"Entra ID knows no user {request.user}")
        if not user.account_enabled:
            raise failure("UserDisabled", f"the account of {request.user} is disabled")
        if request.needs_synchronization and not user.on_premises_sync_enabled:
            raise failure("UserNotSynchronized", f"{request.user} is not synchronized from Active Directory")
        return FoundUser(
            user=User(
                id=user.id,
                user_principal_name=user.user_principal_name,
                display_name=user.display_name or user.user_principal_name,
                on_premises_user_principal_name=user.on_premises_user_principal_name,
            )
        )
