"""What has been there before the first request: resource groups and the customer's own networks."""

from collections.abc import Mapping
from typing import Any

from simulator.active_directory import DOMAIN_CONTROLLER
from simulator.arm.network import NAT_GATEWAYS, PUBLIC_IP_ADDRESSES, VIRTUAL_NETWORKS
from simulator.arm.resource_type import ResourceType
from simulator.arm.resources import RESOURCE_GROUPS
from simulator.cloud import RESOURCE_GROUP, SECOND_SUBSCRIPTION_ID, SUBSCRIPTION_ID

HOME_REGION = "westeurope"
"""The region of the first subscription's resource groups."""


def seed(types: Mapping[str, ResourceType]) -> None:
    """Make what exists from the start, by the rules of the resource types, given by their name in lower case."""
    first, second = (f"/subscriptions/{id}/resourceGroups" for id in (SUBSCRIPTION_ID, SECOND_SUBSCRIPTION_ID))
    _group(types, f"{first}/{RESOURCE_GROUP}", HOME_REGION)
    corporate, branch = f"{first}/rg-network", f"{second}/rg-branch"
    _group(types, corporate, HOME_REGION)
    gateway = _nat_gateway(types, corporate, "corp", HOME_REGION)
    subnets = {"snet-cloud-pcs": "10.20.1.0/24", "snet-small": "10.20.2.0/29"}
    _network(
        types, f"{corporate}/providers/{VIRTUAL_NETWORKS}/vnet-corp", HOME_REGION, "10.20.0.0/16", subnets, gateway
    )
    _group(types, branch, "northeurope")
    gateway = _nat_gateway(types, branch, "branch", "northeurope")
    subnets = {"snet-cloud-pcs": "10.30.1.0/24"}
    _network(
        types, f"{branch}/providers/{VIRTUAL_NETWORKS}/vnet-branch", "northeurope", "10.30.0.0/16", subnets, gateway
    )


def _group(types: Mapping[str, ResourceType], group_id: str, region: str) -> None:
    types[RESOURCE_GROUPS.lower()].seed(group_id, {"location": region})


def _nat_gateway(types: Mapping[str, ResourceType], group_id: str, name: str, region: str) -> str:
    address_id = f"{group_id}/providers/{PUBLIC_IP_ADDRESSES}/pip-{name}"
    gateway_id = f"{group_id}/providers/{NAT_GATEWAYS}/nat-{name}"
    types[PUBLIC_IP_ADDRESSES.lower()].seed(address_id, {"location": region})
    properties = {"publicIpAddresses": [{"id": address_id}]}
    types[NAT_GATEWAYS.lower()].seed(gateway_id, {"location": region, "properties": properties})
    return gateway_id


def _network(
    types: Mapping[str, ResourceType],
    network_id: str,
    region: str,
    prefix: str,
    subnets: Mapping[str, str],
    gateway_id: str,
) -> None:
    properties: dict[str, Any] = {
        "addressSpace": {"addressPrefixes": [prefix]},
        "dhcpOptions": {"dnsServers": [DOMAIN_CONTROLLER]},
        "subnets": [
            {"name": name, "properties": {"addressPrefix": part, "natGateway": {"id": gateway_id}}}
            for name, part in subnets.items()
        ],
    }
    types[VIRTUAL_NETWORKS.lower()].seed(network_id, {"location": region, "properties": properties})
