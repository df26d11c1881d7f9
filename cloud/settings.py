"""Where Azure and Graph are and who the worker is there: environment variables, checked at start."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from models.azure_network_connection import ActiveDirectoryDomain
from models.types import DomainName, Guid, JoinAccount, ResourceId, same_id

_PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_HTTPS = rf"^https://[0-9A-Za-z.-]{{1,255}}(:({_PORT}))?$"


class SettingsError(Exception):
    """An environment variable is missing or wrong; the message names it, a line each."""


class DomainSecret(BaseModel):
    """Which secret may be used as the password of which join account."""

    # Somebody may write the secret itself here: it must not come back in an error.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    secret: Annotated[str, Field(pattern=r"^(CLOUD_PC_[A-Z0-9_]{1,64}|https://[^/\s]+/secrets/[0-9A-Za-z-]{1,127})$")]
    """Environment variable of the worker, or identifier of a Key Vault secret without a version."""
    domain: DomainName
    account: JoinAccount

    def is_for(self, domain: ActiveDirectoryDomain) -> bool:
        """Tell whether this is the domain's secret, domain and join account."""
        return (
            same_id(self.secret, domain.password.place)
            and same_id(self.domain, domain.name)
            and same_id(self.account, domain.username)
        )


def _entries(text: str) -> list[dict[str, str]]:
    """Read entries of three words."""
    entries = [entry.split() for entry in text.split(";") if entry.strip()]
    if any(len(entry) != len(DomainSecret.model_fields) for entry in entries):
        raise ValueError("write SECRET DOMAIN ACCOUNT, and a semicolon between two of these")
    return [dict(zip(DomainSecret.model_fields, entry, strict=True)) for entry in entries]


def _resource_id(text: str) -> str:
    ResourceId.parse(text)
    return text


class Settings(BaseModel):
    """The worker's configuration; each field is read from the environment variable of its alias.

    Credentials are not among them: `azure-identity` reads `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
    `AZURE_CLIENT_SECRET` (or a certificate, a workload identity, a managed identity) by itself.
    """

    model_config = ConfigDict(frozen=True)

    subscription_id: Annotated[Guid, Field(validation_alias="AZURE_SUBSCRIPTION_ID")]
    """Subscription that the Cloud PCs are made in."""
    resource_group: Annotated[str, Field(validation_alias="AZURE_RESOURCE_GROUP", pattern=r"^[-\w.()]{0,89}[-\w()]$")]
    """Existing resource group that the Cloud PCs are made in."""
    resource_manager_url: Annotated[str, Field(validation_alias="AZURE_RESOURCE_MANAGER_URL", pattern=_HTTPS)] = (
        "https://management.azure.com"
    )
    graph_url: Annotated[str, Field(validation_alias="MICROSOFT_GRAPH_URL", pattern=_HTTPS)] = (
        "https://graph.microsoft.com"
    )
    poll_interval: Annotated[float, Field(validation_alias="CLOUD_PC_POLL_INTERVAL", ge=0.05, le=300)] = 15.0
    """Seconds between two looks at what Entra ID, Intune or the host pool has not shown yet."""
    request_timeout: Annotated[float, Field(validation_alias="CLOUD_PC_REQUEST_TIMEOUT", ge=0.5, le=300)] = 60.0
    """Seconds that a request to Azure or Graph may take; after them it is tried again."""

    azure_activities_per_second: Annotated[
        float, Field(validation_alias="CLOUD_PC_AZURE_ACTIVITIES_PER_SECOND", gt=0, le=10000)
    ] = 5.0
    """How many steps of Azure may begin in a second, of all workers together.

    One sends about 4 reads and a write, and a subscription's budget refills by 25 reads and 10 writes a second.

    Source: https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
    """
    graph_activities_per_second: Annotated[
        float, Field(validation_alias="CLOUD_PC_GRAPH_ACTIVITIES_PER_SECOND", gt=0, le=10000)
    ] = 8.0
    """The same for Microsoft Graph, where Intune takes 10 writes a second of an application.

    Source: https://learn.microsoft.com/graph/throttling-limits
    """
    domain_secrets: Annotated[
        tuple[DomainSecret, ...], BeforeValidator(_entries), Field(validation_alias="CLOUD_PC_DOMAIN_SECRETS")
    ] = ()
    """Which secrets may be used for which domains: connections name both, and whoever starts a workflow writes them."""
    allowed_resources: Annotated[
        tuple[Annotated[str, AfterValidator(_resource_id)], ...],
        BeforeValidator(str.split),
        Field(validation_alias="CLOUD_PC_ALLOWED_RESOURCES"),
    ] = ()
    """ARM ids of what connections and policies may name beside the worker's own resource group, with all that is in it:
    subscriptions, resource groups, virtual networks, subnets, images, galleries."""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING"], Field(validation_alias="CLOUD_PC_LOG_LEVEL")] = "INFO"
    """What is logged: at `DEBUG` also every request of the SDKs to Azure and Graph, without bodies and credentials."""

    @property
    def resource_group_id(self) -> str:
        """ARM id of the resource group."""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"

    def allows(self, resource_id: str) -> bool:
        """Tell whether a connection or policy may name what has this ARM id; Azure ignores the case of ids."""
        wanted = resource_id.casefold() + "/"
        return any(wanted.startswith(id.casefold() + "/") for id in (self.resource_group_id, *self.allowed_resources))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; an empty variable counts as not set.

        Raises:
            SettingsError: A variable is missing or wrong.

        """
        try:
            return cls.model_validate({name: value for name, value in environment.items() if value})
        except ValidationError as error:
            lines = [f"{detail['loc'][0]}: {_problem(detail['type'], detail['msg'])}" for detail in error.errors()]
            raise SettingsError("\n".join(lines)) from error


def _problem(kind: str, message: str) -> str:
    return "is not set; set it (README, A real tenant)" if kind == "missing" else f"{message}; correct it"
