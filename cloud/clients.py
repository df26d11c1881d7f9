"""The SDK clients of one worker process, and their lifetime."""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity.aio import DefaultAzureCredential
from azure.mgmt.authorization.aio import AuthorizationManagementClient
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.desktopvirtualization.aio import DesktopVirtualizationMgmtClient
from azure.mgmt.network.aio import NetworkManagementClient
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from kiota_http.middleware.options import RetryHandlerOption
from msgraph.generated.models.user import User
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_request_adapter import options as graph_options
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory

from cloud.errors import failure
from cloud.execution import lease
from cloud.secrets import Secrets
from cloud.settings import Settings
from models.types import ResourceId


class SignInError(Exception):
    """The worker's identity cannot sign in; the message names the variables, in one line."""


@dataclass(frozen=True)
class ResourceGroup:
    """A resource group, and the clients of its subscription."""

    id: str
    """ARM id."""
    compute: ComputeManagementClient
    network: NetworkManagementClient

    @property
    def name(self) -> str:
        """The name."""
        return ResourceId.parse(self.id).resource_group


class ResourceGroups:
    """The resource groups that the settings allow, of any subscription; clients are made when first needed."""

    def __init__(
        self, settings: Settings, make: Callable[[str], tuple[ComputeManagementClient, NetworkManagementClient]]
    ) -> None:
        self._settings = settings
        self._make = make
        self._clients: dict[str, tuple[ComputeManagementClient, NetworkManagementClient]] = {}

    def require(self, id: str) -> None:
        """See that a connection or a policy may name what has this ARM id.

        Raises:
            ApplicationError: `ResourceNotAllowed`.

        """
        if not self._settings.allows(id):
            raise failure("ResourceNotAllowed", f"CLOUD_PC_ALLOWED_RESOURCES of this worker does not have {id}")

    def get(self, id: str | None = None) -> ResourceGroup:
        """Return the resource group by its ARM id or that of a resource in it; the worker's own for None.

        Raises:
            ApplicationError: `ResourceNotAllowed`.

        """
        id = id or self._settings.resource_group_id
        self.require(id)
        parsed = ResourceId.parse(id)
        subscription = parsed.subscription.lower()
        if subscription not in self._clients:
            self._clients[subscription] = self._make(subscription)
        return ResourceGroup(parsed.group_id, *self._clients[subscription])


@dataclass(frozen=True)
class CloudClients:
    """One set of asynchronous clients, bound to the event loop that made them.

    Their own retries are off: Temporal retries, and sees what the service asks for in `Retry-After`.
    """

    settings: Settings
    resource_groups: ResourceGroups
    secrets: Secrets
    authorization: AuthorizationManagementClient
    desktop_virtualization: DesktopVirtualizationMgmtClient
    graph: GraphServiceClient
    graph_adapter: GraphRequestAdapter


@asynccontextmanager
async def cloud_clients(settings: Settings) -> AsyncGenerator[CloudClients, None]:
    """Make the clients, sign in, and close them with everything they hold at the end.

    Raises:
        SignInError: No identity is configured, or Entra ID refuses it or cannot be reached.

    """
    async with AsyncExitStack() as stack:
        credential = await stack.enter_async_context(DefaultAzureCredential(retry_total=0))
        await _sign_in(credential, f"{settings.resource_manager_url}/.default")
        arm: dict[str, Any] = {
            "base_url": settings.resource_manager_url,
            "credential_scopes": [f"{settings.resource_manager_url}/.default"],
            "retry_total": 0,
            "connection_timeout": settings.request_timeout,
            "read_timeout": settings.request_timeout,
            "per_retry_policies": [lease.LeasePolicy()],
        }
        subscription = settings.subscription_id
        # httpx keeps connections in the transport, and msgraph-core's wrapper does not close it.
        transport = await stack.enter_async_context(httpx.AsyncHTTPTransport(verify=ssl.create_default_context()))
        http = GraphClientFactory.create_with_default_middleware(
            client=httpx.AsyncClient(
                transport=transport,
                timeout=settings.request_timeout,
                event_hooks={"request": [lease.before_request]},
            ),
            options={**graph_options, RetryHandlerOption.get_key(): RetryHandlerOption(should_retry=False)},
        )
        stack.push_async_callback(http.aclose)
        authentication = AzureIdentityAuthenticationProvider(
            credential,
            scopes=[f"{settings.graph_url}/.default"],
            # A host with its port never matches, and the request would go without a token.
            allowed_hosts=[urlsplit(settings.graph_url).hostname or ""],
            is_cae_enabled=False,
        )
        adapter = GraphRequestAdapter(authentication, client=http)
        adapter.base_url = f"{settings.graph_url}/v1.0"
        await asyncio.to_thread(_warm_up)

        def make(subscription_id: str) -> tuple[ComputeManagementClient, NetworkManagementClient]:
            compute = ComputeManagementClient(credential, subscription_id, **arm)
            network = NetworkManagementClient(credential, subscription_id, **arm)
            stack.push_async_callback(compute.close)
            stack.push_async_callback(network.close)
            return compute, network

        yield CloudClients(
            settings=settings,
            resource_groups=ResourceGroups(settings, make),
            secrets=Secrets(credential, os.environ, settings.domain_secrets),
            authorization=await stack.enter_async_context(
                AuthorizationManagementClient(credential, subscription, **arm)
            ),
            desktop_virtualization=await stack.enter_async_context(
                DesktopVirtualizationMgmtClient(credential, subscription, **arm)
            ),
            graph=GraphServiceClient(request_adapter=adapter),
            graph_adapter=adapter,
        )


async def _sign_in(credential: DefaultAzureCredential, scope: str) -> None:
    try:
        await credential.get_token(scope)
    except (ClientAuthenticationError, ServiceRequestError, ValueError) as error:
        # The text of Entra ID's answer goes on for pages.
        reason = re.search(r"AADSTS\d+: [^.]*\.", str(error))
        raise SignInError(
            "AZURE_AUTHORITY_HOST, AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET: cannot sign in "
            f"({reason[0] if reason else str(error).splitlines()[0][:200]}); correct them"
        ) from error


def _warm_up() -> None:
    """Import what msgraph imports at the first typed answer: 3 to 5 s that would block the event loop."""
    User().get_field_deserializers()
