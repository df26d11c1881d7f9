"""Microsoft.Network: virtual networks, interfaces, security groups, NAT gateways and public addresses."""

import ipaddress
import time
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from simulator.arm.call import Call
from simulator.arm.errors import ArmError, invalid_reference
from simulator.arm.ids import parent_of, part_of
from simulator.arm.resource_type import ResourceType, merged, object_in
from simulator.arm.store import Resource, ResourceStore
from simulator.clock import Clock

VIRTUAL_NETWORKS = "Microsoft.Network/virtualNetworks"
SUBNETS = "Microsoft.Network/virtualNetworks/subnets"
NETWORK_INTERFACES = "Microsoft.Network/networkInterfaces"
NETWORK_SECURITY_GROUPS = "Microsoft.Network/networkSecurityGroups"
SECURITY_RULES = "Microsoft.Network/networkSecurityGroups/securityRules"
NAT_GATEWAYS = "Microsoft.Network/natGateways"
PUBLIC_IP_ADDRESSES = "Microsoft.Network/publicIPAddresses"

RESERVATION_SECONDS = 180
"""How long an interface stays reserved for the machine that it was part of or was to be part of."""
RESERVED_ADDRESSES = 4
"""How many addresses at the beginning of a subnet Azure keeps; it keeps the last one, too."""
SMALLEST_SUBNET = 29
"""Prefix length of the smallest subnet."""

_USAGES = {
    VIRTUAL_NETWORKS: ("VirtualNetworks", "Virtual Networks", 1_000),
    NETWORK_INTERFACES: ("NetworkInterfaces", "Network Interfaces", 65_536),
    NETWORK_SECURITY_GROUPS: ("NetworkSecurityGroups", "Network Security Groups", 5_000),
    PUBLIC_IP_ADDRESSES: ("PublicIPAddresses", "Public IP Addresses", 1_000),
    NAT_GATEWAYS: ("NatGateways", "NAT Gateways", 1_000),
}
_DEFAULT_RULES = (
    ("AllowVnetInBound", "Allow", 65000, "Inbound", "VirtualNetwork", "VirtualNetwork"),
    ("AllowAzureLoadBalancerInBound", "Allow", 65001, "Inbound", "AzureLoadBalancer", "*"),
    ("DenyAllInBound", "Deny", 65500, "Inbound", "*", "*"),
    ("AllowVnetOutBound", "Allow", 65000, "Outbound", "VirtualNetwork", "VirtualNetwork"),
    ("AllowInternetOutBound", "Allow", 65001, "Outbound", "*", "Internet"),
    ("DenyAllOutBound", "Deny", 65500, "Outbound", "*", "*"),
)


class NetworkResourceType(ResourceType):
    """What the types of Microsoft.Network have in common."""

    creating_state = "Updating"

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Give the resource a new etag and keep its GUID."""
        self.stamp(resource, existing)
        return True

    def stamp(self, resource: Resource, existing: Resource | None) -> None:
        """Give a resource a new etag and, when it is new, its GUID."""
        resource.body["etag"] = f'W/"{self.cloud.new_id("etag")}"'
        if self.is_tracked:
            guid = existing.properties["resourceGuid"] if existing else self.cloud.new_id("resourceGuid")
            resource.properties["resourceGuid"] = guid

    def busy(self, resource: Resource, call: Call) -> ArmError:
        """Return the 429 that asks to come back when the operation under way is over."""
        return ArmError(
            429,
            "RetryableErrorDueToAnotherOperation",
            f"Cannot proceed with the operation on resource {call.path} because another operation is in progress on "
            f"resource {resource.id}.",
            headers=self.cloud.clock.retry_after(10),
        )

    async def patch(self, call: Call, resource_id: str) -> web.Response:
        """Replace the tags, which is all that a PATCH can change here."""
        resource = self.existing(resource_id)
        resource.body = merged(resource.body, {"tags": call.body.get("tags") or {}})
        call.entry.effect = "updated"
        return web.json_response(self.view(resource, call))

    def referenced(self, reference: Any, resource_type: str, by: Resource) -> Resource | None:
        """Return the resource that `{"id": ...}` names and write its id as it is stored; None for no reference.

        Raises:
            ArmError: 400, it does not exist; 429, it is being made or changed.

        """
        if not reference:
            return None
        resource = find_referenced(self.store, reference, resource_type, by, self.cloud.clock)
        reference["id"] = resource.id
        return resource


class VirtualNetworks(NetworkResourceType):
    """Virtual networks; their subnets are resources of their own that a PUT may bring along."""

    type = VIRTUAL_NETWORKS
    create_seconds = 5
    update_seconds = 5
    delete_seconds = 10

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check address space and subnets; a PUT that lists subnets replaces those that there are."""
        prefixes = _prefixes(resource)
        listed: Any = resource.properties.pop("subnets", None)
        before = {subnet.name.lower(): subnet for subnet in self.store.children(resource.id, SUBNETS)}
        subnets: list[Resource] = []
        for item in listed if listed is not None else ():
            name = str(item.get("name", ""))
            old = before.get(name.lower())
            subnet = Resource(old.id if old else f"{resource.id}/subnets/{name}", SUBNETS, {}, {})
            subnet.body = {"id": subnet.id, "name": subnet.name, "type": SUBNETS}
            subnet.body["properties"] = dict(object_in(item, "properties"))
            prepare_subnet(self, subnet, old, resource, prefixes, subnets)
            subnets.append(subnet)
        kept = {subnet.name.lower() for subnet in subnets} if listed is not None else set(before)
        for name, subnet in before.items():
            if name not in kept:
                check_subnet_unused(subnet)
        self.stamp(resource, existing)
        resource.properties.setdefault("enableDdosProtection", False)
        for name, subnet in before.items():
            if name not in kept:
                self.store.remove(subnet.id)
        for subnet in subnets:
            subnet.properties["provisioningState"] = "Succeeded"
            if old := before.get(subnet.name.lower()):
                old.body = subnet.body
            else:
                self.store.add(subnet)
        return True

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the network with its subnets."""
        subnets = [_subnet_view(subnet) for subnet in self.store.children(resource.id, SUBNETS)]
        properties = {**resource.properties, "subnets": subnets, "virtualNetworkPeerings": []}
        return {**resource.body, "properties": properties}

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while something is connected to a subnet."""
        for subnet in self.store.children(resource.id, SUBNETS):
            check_subnet_unused(subnet)

    def locks(self, resource_id: str) -> list[Resource]:
        """Return the network and its subnets."""
        return [*super().locks(resource_id), *self.store.children(resource_id, SUBNETS)]


class Subnets(NetworkResourceType):
    """Subnets; those of one network are written one after another."""

    type = SUBNETS
    is_tracked = False
    create_seconds = 4
    update_seconds = 4
    delete_seconds = 10

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check prefix and references."""
        network = self.store.get(parent_of(resource.id))
        if network is None:
            raise invalid_reference(parent_of(resource.id), resource.id)
        siblings = [s for s in self.store.children(network.id, SUBNETS) if s is not existing]
        prepare_subnet(self, resource, existing, network, _prefixes(network), siblings)
        return True

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the subnet with what is connected to it."""
        return _subnet_view(resource)

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while something is connected to it."""
        check_subnet_unused(resource)

    def locks(self, resource_id: str) -> list[Resource]:
        """Return the network and all of its subnets."""
        network = self.store.get(parent_of(resource_id))
        return [network, *self.store.children(network.id, SUBNETS)] if network else []


class NetworkInterfaces(NetworkResourceType):
    """Network interfaces; each of their IP configurations takes an address of a subnet."""

    type = NETWORK_INTERFACES
    create_seconds = 3
    update_seconds = 3
    delete_seconds = 3

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check references and give each IP configuration its address."""
        configurations: list[dict[str, Any]] = resource.properties.get("ipConfigurations") or []
        if not configurations:
            raise ArmError(
                400,
                "NetworkInterfaceMustHaveOneIpConfiguration",
                f"Network interface {resource.id} must have one IP configuration.",
            )
        self.referenced(resource.properties.get("networkSecurityGroup"), NETWORK_SECURITY_GROUPS, resource)
        before = {c["id"].lower(): c["properties"] for c in existing.properties["ipConfigurations"]} if existing else {}
        taken: list[tuple[Resource, str, str]] = []
        for configuration in configurations:
            configuration["id"] = f"{resource.id}/ipConfigurations/{configuration.get('name', '')}"
            old = before.get(configuration["id"].lower(), {})
            subnet, address = self._address(resource, configuration, old, [a for _, a, _ in taken])
            taken.append((subnet, address, configuration["id"]))
        self.stamp(resource, existing)
        properties = resource.properties
        properties.setdefault("enableAcceleratedNetworking", False)
        properties.setdefault("enableIPForwarding", False)
        properties.setdefault("dnsSettings", {"dnsServers": []}).setdefault("appliedDnsServers", [])
        properties["nicType"] = "Standard"
        for name in ("virtualMachine", "macAddress", "primary"):
            properties.pop(name, None)
            if existing and name in existing.properties:
                properties[name] = existing.properties[name]
        if existing:
            release_addresses(self.store, existing)
        for subnet, address, configuration_id in taken:
            subnet.private.setdefault("addresses", {})[address] = configuration_id
        return True

    def _address(
        self, resource: Resource, configuration: dict[str, Any], old: dict[str, Any], taken: list[str]
    ) -> tuple[Resource, str]:
        properties: dict[str, Any] = configuration.setdefault("properties", {})
        subnet = self.referenced(properties.get("subnet"), SUBNETS, resource)
        if subnet is None:
            raise ArmError(400, "SubnetMissing", f"IP configuration {configuration['id']} names no subnet.")
        network = self.store.get(parent_of(subnet.id))
        is_near = network is not None and network.location == resource.location
        if not is_near or part_of(subnet.id, "subscriptions") != part_of(resource.id, "subscriptions"):
            raise invalid_reference(subnet.id, resource.id)
        public = self.referenced(properties.get("publicIPAddress"), PUBLIC_IP_ADDRESSES, resource)
        if public and (user := _user_of(self.store, public)) and user.lower() != configuration["id"].lower():
            raise _public_address_in_use(configuration["id"], public, user)
        used: dict[str, str] = subnet.private.get("addresses", {})
        prefix = _subnet_prefix(subnet)
        method = properties.setdefault("privateIPAllocationMethod", "Dynamic")
        wanted = properties.get("privateIPAddress") if method == "Static" else None
        if wanted:
            _check_static(wanted, prefix, subnet, used.get(wanted), configuration["id"])
        elif old.get("subnet", {}).get("id") == subnet.id:
            wanted = old["privateIPAddress"]
        else:
            wanted = _free_address(prefix, {*used, *taken}, subnet)
        properties.setdefault("primary", not taken)
        properties |= {
            "privateIPAddress": wanted,
            "privateIPAddressVersion": "IPv4",
            "provisioningState": "Succeeded",
        }
        return subnet, wanted

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while the interface belongs to a machine or is reserved for one."""
        if machine := resource.properties.get("virtualMachine"):
            raise interface_in_use(resource, machine["id"])
        check_reservation(resource, "")

    def removed(self, resource: Resource) -> None:
        """Give the addresses back."""
        release_addresses(self.store, resource)


class NetworkSecurityGroups(NetworkResourceType):
    """Network security groups; their rules are resources of their own that a PUT may bring along."""

    type = NETWORK_SECURITY_GROUPS
    create_seconds = 3
    update_seconds = 3
    delete_seconds = 3

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check the rules; a PUT that lists rules replaces those that there are."""
        listed: Any = resource.properties.pop("securityRules", None)
        resource.properties.pop("defaultSecurityRules", None)
        rules: list[Resource] = []
        for item in listed or ():
            rule = Resource(f"{resource.id}/securityRules/{item.get('name', '')}", SECURITY_RULES, {}, {})
            rule.body = {"id": rule.id, "name": rule.name, "type": SECURITY_RULES}
            rule.body["properties"] = {**object_in(item, "properties"), "provisioningState": "Succeeded"}
            check_rule(rule, rules)
            rules.append(rule)
        self.stamp(resource, existing)
        if listed is not None:
            for old in self.store.children(resource.id, SECURITY_RULES):
                self.store.remove(old.id)
            for rule in rules:
                rule.body["etag"] = resource.body["etag"]
                self.store.add(rule)
        return True

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the group with its rules, the default ones and what it protects."""
        properties = {
            **resource.properties,
            "securityRules": [rule.body for rule in self.store.children(resource.id, SECURITY_RULES)],
            "defaultSecurityRules": [_default_rule(resource, *rule) for rule in _DEFAULT_RULES],
        }
        for name, resource_type in (("subnets", SUBNETS), ("networkInterfaces", NETWORK_INTERFACES)):
            if users := _users_of(self.store, resource, resource_type, "networkSecurityGroup"):
                properties[name] = [{"id": user} for user in users]
        return {**resource.body, "properties": properties}

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while it protects something."""
        for resource_type in (SUBNETS, NETWORK_INTERFACES):
            for user in _users_of(self.store, resource, resource_type, "networkSecurityGroup"):
                raise ArmError(
                    400,
                    "InUseNetworkSecurityGroupCannotBeDeleted",
                    f"Network security group {resource.id} cannot be deleted because it is in use by the following "
                    f"resources: {user}. In order to delete the Network security group, remove the association with "
                    "the resource(s).",
                )


class SecurityRules(NetworkResourceType):
    """Rules of a network security group."""

    type = SECURITY_RULES
    is_tracked = False
    create_seconds = 3
    update_seconds = 3
    delete_seconds = 3

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check the rule against itself and its siblings."""
        siblings = [r for r in self.store.children(parent_of(resource.id), SECURITY_RULES) if r is not existing]
        check_rule(resource, siblings)
        self.stamp(resource, existing)
        return True

    def locks(self, resource_id: str) -> list[Resource]:
        """Return the group and all of its rules."""
        group = self.store.get(parent_of(resource_id))
        return [group, *self.store.children(group.id, SECURITY_RULES)] if group else []


class NatGateways(NetworkResourceType):
    """NAT gateways: how machines of a subnet without default outbound access reach the Internet."""

    type = NAT_GATEWAYS
    create_seconds = 15
    update_seconds = 5
    delete_seconds = 10

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check the public addresses."""
        for reference in resource.properties.get("publicIpAddresses") or ():
            public = self.referenced(reference, PUBLIC_IP_ADDRESSES, resource)
            if public and (user := _user_of(self.store, public)) and user.lower() != resource.id.lower():
                raise _public_address_in_use(resource.id, public, user)
        resource.body.setdefault("sku", {"name": "Standard"})
        resource.properties.setdefault("idleTimeoutInMinutes", 4)
        self.stamp(resource, existing)
        return True

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the gateway with the subnets that it serves."""
        subnets = [{"id": user} for user in _users_of(self.store, resource, SUBNETS, "natGateway")]
        return {**resource.body, "properties": {**resource.properties, **({"subnets": subnets} if subnets else {})}}

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while it serves a subnet."""
        for user in _users_of(self.store, resource, SUBNETS, "natGateway"):
            raise ArmError(
                400,
                "InUseNatGatewayCannotBeDeleted",
                f"Nat gateway {resource.id} cannot be deleted because it is in use by subnet {user}.",
            )


class PublicIpAddresses(NetworkResourceType):
    """Public IP addresses."""

    type = PUBLIC_IP_ADDRESSES
    create_seconds = 3
    update_seconds = 3
    delete_seconds = 3

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Allocate the address."""
        resource.body.setdefault("sku", {"name": "Standard"}).setdefault("tier", "Regional")
        properties = resource.properties
        properties.setdefault("publicIPAddressVersion", "IPv4")
        properties.setdefault("publicIPAllocationMethod", "Static")
        properties.setdefault("idleTimeoutInMinutes", 4)
        self.stamp(resource, existing)
        made = bytes.fromhex(resource.properties["resourceGuid"].replace("-", ""))
        properties["ipAddress"] = f"20.{made[0]}.{made[1]}.{made[2]}"
        return True

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the address with what uses it."""
        user = _user_of(self.store, resource)
        if user is None:
            return resource.body
        name = "natGateway" if "/natgateways/" in user.lower() else "ipConfiguration"
        return {**resource.body, "properties": {**resource.properties, name: {"id": user}}}

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while it is in use."""
        if user := _user_of(self.store, resource):
            raise ArmError(
                400,
                "PublicIPAddressCannotBeDeleted",
                f"Public IP address {resource.id} can not be deleted since it is still allocated to resource {user}. "
                "In order to delete the public IP, disassociate/detach the Public IP address from the resource.",
            )


NETWORK_TYPES = (
    VirtualNetworks,
    Subnets,
    NetworkInterfaces,
    NetworkSecurityGroups,
    SecurityRules,
    NatGateways,
    PublicIpAddresses,
)


def network_usages(store: ResourceStore, subscription: str, region: str) -> list[dict[str, Any]]:
    """Return the network quota of a region and how much of it is used."""
    return [
        {
            "id": f"{subscription}/providers/Microsoft.Network/locations/{region}/usages/{name}",
            "name": {"value": name, "localizedValue": localized},
            "currentValue": sum(1 for resource in store.list(kind, subscription) if resource.location == region),
            "limit": limit,
            "unit": "Count",
        }
        for kind, (name, localized, limit) in _USAGES.items()
    ]


def find_referenced(store: ResourceStore, reference: Any, kind: str, by: Resource, clock: Clock) -> Resource:
    """Return the network resource of a full type that `{"id": ...}` names.

    Raises:
        ArmError: 400, it does not exist; 429, it is being made or changed.

    """
    resource = store.get(str(reference.get("id", "")))
    if resource is None or resource.type != kind:
        raise invalid_reference(str(reference.get("id", "")), by.id)
    for locked in (resource, store.get(parent_of(resource.id))):
        if locked and locked.operation:
            raise ArmError(
                429,
                "ReferencedResourceNotProvisioned",
                f"Cannot proceed with operation because resource {locked.id} used by resource {by.id} is not in "
                f"Succeeded state. Resource is in {locked.properties['provisioningState']} state.",
                headers=clock.retry_after(10),
            )
    return resource


def attach_interface(interface: Resource, machine_id: str, *, primary: bool, mac_address: str) -> None:
    """Make an interface part of a machine."""
    interface.private.pop("reserved", None)
    interface.properties["virtualMachine"] = {"id": machine_id}
    interface.properties["primary"] = primary
    interface.properties["macAddress"] = mac_address


def detach_interface(interface: Resource, clock: Clock) -> None:
    """Take an interface out of its machine, for which it stays reserved a while.

    Source: github.com/cloudfoundry/bosh-azure-cpi-release issue 366
    """
    machine = interface.properties.pop("virtualMachine", None)
    interface.properties.pop("macAddress", None)
    interface.properties.pop("primary", None)
    if machine:
        until = time.monotonic() + clock.real_seconds(RESERVATION_SECONDS)
        interface.private["reserved"] = (machine["id"], until)


def release_addresses(store: ResourceStore, interface: Resource) -> None:
    """Give an interface's addresses back to their subnets."""
    for configuration in interface.properties["ipConfigurations"]:
        properties = configuration["properties"]
        if subnet := store.get(properties["subnet"]["id"]):
            subnet.private.get("addresses", {}).pop(properties["privateIPAddress"], None)


def check_reservation(interface: Resource, machine_id: str) -> None:
    """Raise `ArmError` when an interface is reserved for another machine than the one of an id."""
    reserved_for, until = interface.private.get("reserved", ("", 0.0))
    if reserved_for and reserved_for.lower() != machine_id.lower() and time.monotonic() < until:
        raise ArmError(
            400,
            "NicReservedForAnotherVm",
            "Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide another nic(s) "
            f"or retry after 180 seconds. Reserved VM: {reserved_for}",
        )


def interface_in_use(interface: Resource, machine_id: str) -> ArmError:
    """Return the 400 for an interface that belongs to a machine."""
    return ArmError(
        400,
        "NicInUse",
        f"Network Interface {interface.id} is used by existing resource {machine_id}. In order to delete the network "
        "interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.",
    )


def has_outbound_access(store: ResourceStore, interface_ids: Iterable[str]) -> bool:
    """Return whether a machine with these interfaces reaches the Internet.

    New subnets have no outbound access of their own unless they ask for it.
    Source: learn.microsoft.com/azure/virtual-network/ip-services/default-outbound-access
    """
    for interface_id in interface_ids:
        interface = store.get(interface_id)
        for configuration in interface.properties["ipConfigurations"] if interface else ():
            properties = configuration["properties"]
            subnet = store.get(properties["subnet"]["id"])
            if properties.get("publicIPAddress") or (
                subnet and (subnet.properties.get("natGateway") or subnet.properties["defaultOutboundAccess"])
            ):
                return True
    return False


def prepare_subnet(
    rules: NetworkResourceType,
    subnet: Resource,
    existing: Resource | None,
    network: Resource,
    prefixes: list[ipaddress.IPv4Network],
    siblings: list[Resource],
) -> None:
    """Check a subnet that is to be in a network beside its siblings and fill in what the service adds."""
    prefix = _subnet_prefix(subnet)
    if prefix.prefixlen > SMALLEST_SUBNET or not any(prefix.subnet_of(space) for space in prefixes):
        raise ArmError(
            400, "NetcfgInvalidSubnet", f"Subnet '{subnet.name}' is not valid in virtual network '{network.name}'."
        )
    for sibling in siblings:
        if prefix.overlaps(_subnet_prefix(sibling)):
            raise ArmError(
                400,
                "NetcfgSubnetRangesOverlap",
                f"Subnet '{subnet.name}' is not valid because its IP address range overlaps with that of an existing "
                f"subnet in virtual network '{network.name}'.",
            )
    if existing and existing.private.get("addresses") and prefix != _subnet_prefix(existing):
        raise ArmError(
            400, "InUsePrefixCannotBeDeleted", f"IpPrefix of subnet {existing.name} is in use and cannot be deleted."
        )
    properties = subnet.properties
    rules.referenced(properties.get("natGateway"), NAT_GATEWAYS, subnet)
    rules.referenced(properties.get("networkSecurityGroup"), NETWORK_SECURITY_GROUPS, subnet)
    properties.pop("ipConfigurations", None)
    properties.setdefault("defaultOutboundAccess", False)
    properties.setdefault("privateEndpointNetworkPolicies", "Disabled")
    properties.setdefault("privateLinkServiceNetworkPolicies", "Enabled")
    properties.setdefault("delegations", [])
    subnet.body["etag"] = f'W/"{rules.cloud.new_id("etag")}"'


def check_subnet_unused(subnet: Resource) -> None:
    """Raise `ArmError` when something is connected to a subnet."""
    for user in subnet.private.get("addresses", {}).values():
        raise ArmError(
            400,
            "InUseSubnetCannotBeDeleted",
            f"Subnet {subnet.name} is in use by {user} and cannot be deleted. In order to delete the subnet, delete "
            "all the resources within the subnet. See aka.ms/deletesubnet.",
        )


def check_rule(rule: Resource, siblings: list[Resource]) -> None:
    """Check a security rule that is to be beside its siblings."""
    properties = rule.properties
    for name in ("protocol", "access", "direction"):
        if not properties.get(name):
            raise ArmError(
                400,
                "SecurityRuleInvalidParameter",
                f"Security rule parameter {name} for rule with Id {rule.id} is required.",
            )
    priority = properties.get("priority")
    if not isinstance(priority, int) or not 100 <= priority <= 4096:
        raise ArmError(
            400,
            "SecurityRuleInvalidPriority",
            f"Security rule has invalid Priority. Value provided: {priority} Allowed range 100-4096.",
        )
    for sibling in siblings:
        other = sibling.properties
        if other["priority"] == priority and other["direction"] == properties["direction"]:
            raise ArmError(
                400,
                "SecurityRuleConflict",
                f"Security rule {rule.name} conflicts with rule {sibling.name}. Rules cannot have the same Priority "
                "and Direction.",
            )


def _prefixes(network: Resource) -> list[ipaddress.IPv4Network]:
    prefixes: list[str] = object_in(network.properties, "addressSpace").get("addressPrefixes") or []
    if not prefixes:
        raise ArmError(
            400, "AddressSpaceMissing", f"Virtual network {network.id} must have at least one address prefix."
        )
    return [_network(prefix) for prefix in prefixes]


def _network(prefix: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(prefix)
    except ValueError as error:
        raise ArmError(
            400,
            "InvalidAddressPrefixFormat",
            f"Address prefix {prefix} is not formatted correctly. It should follow CIDR notation, for example "
            "10.0.0.0/24.",
        ) from error


def _subnet_prefix(subnet: Resource) -> ipaddress.IPv4Network:
    several: list[str] = subnet.properties.get("addressPrefixes") or [""]
    return _network(subnet.properties.get("addressPrefix") or several[0])


def _subnet_view(subnet: Resource) -> dict[str, Any]:
    users = [{"id": user} for user in subnet.private.get("addresses", {}).values()]
    return {**subnet.body, "properties": {**subnet.properties, **({"ipConfigurations": users} if users else {})}}


def _free_address(prefix: ipaddress.IPv4Network, taken: set[str], subnet: Resource) -> str:
    usable = prefix.num_addresses - RESERVED_ADDRESSES - 1
    for number in range(usable):
        # The first try is the next address of a subnet from which nothing was ever given back.
        address = str(prefix[RESERVED_ADDRESSES + (len(taken) + number) % usable])
        if address not in taken:
            return address
    raise ArmError(
        400,
        "SubnetIsFull",
        f"Subnet {subnet.name} with address prefix {prefix} does not have enough capacity for 1 IP addresses.",
    )


def _check_static(
    address: str, prefix: ipaddress.IPv4Network, subnet: Resource, user: str | None, configuration_id: str
) -> None:
    try:
        number = int(ipaddress.IPv4Address(address)) - int(prefix.network_address)
    except ValueError as error:
        raise ArmError(400, "InvalidIPAddressFormat", f"{address} is no IP address.") from error
    if not 0 <= number < prefix.num_addresses:
        raise ArmError(
            400,
            "PrivateIPAddressNotInSubnet",
            f"Private static IP address {address} does not belong to the range of subnet prefix {prefix}.",
        )
    if number < RESERVED_ADDRESSES or number == prefix.num_addresses - 1:
        raise ArmError(
            400,
            "PrivateIPAddressInReservedRange",
            f"Private static IP address {address} falls within reserved IP range of subnet prefix {prefix}.",
        )
    if user and user.lower() != configuration_id.lower():
        raise ArmError(
            400,
            "PrivateIPAddressInUse",
            f"IP configuration {configuration_id} is using the private IP address {address} which is already allocated "
            f"to resource {user}.",
        )


def _users_of(store: ResourceStore, resource: Resource, kind: str, name: str) -> list[str]:
    users: list[str] = []
    for user in store.list(kind):
        if str(object_in(user.properties, name).get("id", "")).lower() == resource.id.lower():
            users.append(user.id)
    return users


def _user_of(store: ResourceStore, public: Resource) -> str | None:
    wanted = public.id.lower()
    for gateway in store.list(NAT_GATEWAYS):
        if any(r["id"].lower() == wanted for r in gateway.properties.get("publicIpAddresses") or ()):
            return gateway.id
    for interface in store.list(NETWORK_INTERFACES):
        for configuration in interface.properties["ipConfigurations"]:
            reference = object_in(configuration["properties"], "publicIPAddress")
            if str(reference.get("id", "")).lower() == wanted:
                return configuration["id"]
    return None


def _public_address_in_use(by: str, public: Resource, user: str) -> ArmError:
    return ArmError(
        400,
        "PublicIPAddressInUse",
        f"Resource {by} is referencing public IP address {public.id} that is already allocated to resource {user}.",
    )


def _default_rule(
    group: Resource, name: str, access: str, priority: int, direction: str, source: str, destination: str
) -> dict[str, Any]:
    return {
        "id": f"{group.id}/defaultSecurityRules/{name}",
        "name": name,
        "type": "Microsoft.Network/networkSecurityGroups/defaultSecurityRules",
        "etag": group.body["etag"],
        "properties": {
            "provisioningState": "Succeeded",
            "protocol": "*",
            "sourcePortRange": "*",
            "destinationPortRange": "*",
            "sourceAddressPrefix": source,
            "destinationAddressPrefix": destination,
            "access": access,
            "priority": priority,
            "direction": direction,
        },
    }
