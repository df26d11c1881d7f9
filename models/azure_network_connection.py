"""The Azure network connection: the customer's own network, and the domain that can be reached from it.

Source: https://learn.microsoft.com/graph/api/resources/cloudpconpremisesconnection and
https://learn.microsoft.com/windows-365/enterprise/azure-network-connections
"""

import re
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from models.base import GraphModel
from models.provisioning_policy import MAX_PLACES, DomainJoinType, ProvisioningPolicy
from models.types import (
    ConnectionId,
    DisplayName,
    DomainName,
    Guid,
    JoinAccount,
    OrganizationalUnit,
    ResourceGroupId,
    ResourceId,
    SubnetId,
    VirtualNetworkId,
    parent_id,
    same_id,
)


class SecretReference(GraphModel):
    """Where a secret is kept. The secret itself is in no file, no workflow and no log."""

    # Somebody may write the secret itself here: it must not come back in an error.
    model_config = ConfigDict(hide_input_in_errors=True)

    key_vault_secret_id: (
        Annotated[
            str,
            Field(
                pattern=r"^https://[0-9A-Za-z.-]{1,255}(:[0-9]{1,5})?/secrets/[0-9A-Za-z-]{1,127}(/[0-9a-f]{32})?$",
                examples=["https://contoso.vault.azure.net/secrets/domain-join"],
            ),
        ]
        | None
    ) = None
    """Identifier of an Azure Key Vault secret that the worker's identity may read; without a version the newest one."""
    environment_variable: Annotated[str, Field(pattern=r"^CLOUD_PC_[A-Z0-9_]{1,64}$")] | None = None
    """Environment variable of the worker. Only names that begin with `CLOUD_PC_`: none of the worker's own secrets."""

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.key_vault_secret_id is None) == (self.environment_variable is None):
            raise ValueError("needs either keyVaultSecretId or environmentVariable; write one of them")
        return self

    @property
    def place(self) -> str:
        """The environment variable, or the secret's identifier without its version."""
        found = re.match("https://[^/]+/secrets/[^/]+", self.key_vault_secret_id or "")
        return found[0] if found else self.environment_variable or ""


class AzureNetworkConnection(GraphModel):
    """Where Cloud PCs sit in the customer's own network, and for a hybrid join how they join the domain."""

    id: ConnectionId
    """By which a policy's `onPremisesConnectionId` names the connection."""
    display_name: DisplayName
    connection_type: DomainJoinType = DomainJoinType.HYBRID_AZURE_AD_JOIN
    subscription_id: Guid | None = None
    """Subscription of the network; may be left out, `subnetId` tells it."""
    resource_group_id: ResourceGroupId | None = None
    """ARM id of the resource group in which VM, network interface and disk are made: one of the network's own
    subscription, since Azure attaches an interface to no network of another. Left out, it is the worker's own."""
    virtual_network_id: VirtualNetworkId | None = None
    """ARM id of the virtual network; may be left out, `subnetId` tells it."""
    subnet_id: SubnetId
    """ARM id of the subnet in which the Cloud PCs' network interfaces are made; its region is theirs."""
    ad_domain_name: DomainName | None = None
    """Fully qualified name of the Active Directory domain to join."""
    ad_domain_username: JoinAccount | None = None
    """Account that may join computers to the domain, as user principal name."""
    ad_domain_password: SecretReference | None = None
    """Where that account's password is kept."""
    organizational_unit: OrganizationalUnit | None = None
    """Distinguished name of the unit for the computer objects; left out, the domain's default."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        subscription = ResourceId.parse(self.subnet_id).subscription
        if self.virtual_network_id and not same_id(self.virtual_network_id, parent_id(self.subnet_id)):
            raise ValueError("subnetId is of another network than virtualNetworkId; correct one of them")
        if self.subscription_id and not same_id(self.subscription_id, subscription):
            raise ValueError("subnetId is of another subscription than subscriptionId; correct one of them")
        if self.resource_group_id and not same_id(ResourceId.parse(self.resource_group_id).subscription, subscription):
            raise ValueError("resourceGroupId and subnetId must be of one subscription; choose another resource group")
        domain = (self.ad_domain_name, self.ad_domain_username, self.ad_domain_password)
        if self.connection_type == DomainJoinType.HYBRID_AZURE_AD_JOIN:
            if None in domain:
                raise ValueError(
                    "a hybridAzureADJoin needs adDomainName, adDomainUsername and adDomainPassword; add them"
                )
        elif any(domain) or self.organizational_unit:
            raise ValueError("only a hybridAzureADJoin joins a domain; remove adDomain… and organizationalUnit")
        return self

    @property
    def domain(self) -> "ActiveDirectoryDomain":
        """The domain of a `hybridAzureADJoin` connection.

        Raises:
            ValueError: The connection is for Microsoft Entra join.

        """
        if not (self.ad_domain_name and self.ad_domain_username and self.ad_domain_password):
            raise ValueError(f"the connection {self.id} joins no domain")
        return ActiveDirectoryDomain(
            name=self.ad_domain_name,
            username=self.ad_domain_username,
            password=self.ad_domain_password,
            organizational_unit=self.organizational_unit,
        )


Connections = Annotated[tuple[AzureNetworkConnection, ...], Field(max_length=MAX_PLACES)]
"""The connections of one policy."""


class ActiveDirectoryDomain(GraphModel):
    """An Active Directory domain, and how computers are joined to it."""

    name: str
    username: str
    """User principal name of the join account."""
    password: SecretReference
    organizational_unit: str | None


class UnusableConnectionError(ValueError):
    """A policy names a connection that is not there or does not fit; the message names the field and the remedy."""


def connections_of(
    policy: ProvisioningPolicy, connections: Iterable[AzureNetworkConnection]
) -> tuple[AzureNetworkConnection, ...]:
    """Return the connections that the policy names, in its order.

    Raises:
        UnusableConnectionError: One is missing, stands twice or is for another kind of join.

    """
    given = list(connections)
    known = {connection.id: connection for connection in given}
    if len(known) < len(given):
        raise UnusableConnectionError("two Azure network connections have one id; give each its own")
    named: list[AzureNetworkConnection] = []
    for number, configuration in enumerate(policy.domain_join_configurations):
        connection_id, field = configuration.on_premises_connection_id, f"domainJoinConfigurations[{number}]"
        if connection_id is None:
            continue
        connection = known.get(connection_id)
        if connection is None:
            remedy = f"use one of: {', '.join(known)}" if known else "give its file"
            raise UnusableConnectionError(
                f"{field}.onPremisesConnectionId: no Azure network connection {connection_id} was given; {remedy}"
            )
        if connection.connection_type != configuration.domain_join_type:
            raise UnusableConnectionError(
                f"{field}.onPremisesConnectionId: the connection {connection_id} is for {connection.connection_type}, "
                f"the policy for {configuration.domain_join_type}; correct one of them"
            )
        named.append(connection)
    return tuple(named)
