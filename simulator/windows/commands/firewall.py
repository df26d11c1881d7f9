"""Cmdlets over Windows Firewall.

Source: https://learn.microsoft.com/powershell/module/netsecurity/new-netfirewallrule
"""

from collections.abc import Sequence

from simulator.windows.cmdlets import Call, Parameter, cmdlet
from simulator.windows.guest import NETWORK_PROFILES, FirewallRule
from simulator.windows.values import EnumValue, PSObject, Value, to_text

_CIM_EXCEPTION = "Microsoft.Management.Infrastructure.CimException"
_CIM_INSTANCE = "Microsoft.Management.Infrastructure.CimInstance"
# Of the NetSecurity module's enumerations; both members of Enabled count as true.
_ENABLED = {True: EnumValue("True", 1), False: EnumValue("False", 2)}
_DIRECTIONS = {"Inbound": 1, "Outbound": 2}
_ACTIONS = {"Allow": 2, "Block": 4}
_PROFILES = {"Any": 0, "Domain": 1, "Private": 2, "Public": 4}

_ACTIVE_STORE = Parameter("PolicyStore", known=("ActiveStore",))
_SETTINGS = (
    Parameter("Direction", known=tuple(_DIRECTIONS)),
    Parameter("Action", known=tuple(_ACTIONS)),
    Parameter("Enabled", known=("True", "False")),
    Parameter("Profile", known=tuple(_PROFILES)),
    Parameter("Protocol", known=("TCP", "UDP", "Any")),
    Parameter("LocalPort"),
)


def _is_served(call: Call) -> bool:
    """Return whether the firewall's service runs, after its silence has been reported."""
    service = call.guest.service("MpsSvc")
    if not service or service.status != "Running":
        call.report("There are no more endpoints available from the endpoint mapper. ", _CIM_EXCEPTION)
        return False
    return True


def _rule(call: Call) -> FirewallRule | None:
    """Return the rule with the name, or None after its absence has been reported."""
    if not _is_served(call):
        return None
    name = call.text("Name")
    rule = next((rule for rule in call.guest.firewall_rules if rule.name.lower() == name.lower()), None)
    if rule is None:
        call.report(
            f"No MSFT_NetFirewallRule objects found with property 'InstanceID' equal to '{name}'.  "
            "Verify the value of the property and retry.",
            _CIM_EXCEPTION,
        )
    return rule


def _rule_object(rule: FirewallRule) -> PSObject:
    return PSObject(
        _CIM_INSTANCE,
        {
            "Name": rule.name,
            "DisplayName": rule.display_name,
            "Group": rule.group,
            "Enabled": _ENABLED[rule.enabled],
            "Profile": EnumValue(rule.profile, _PROFILES[rule.profile]),
            "Direction": EnumValue(rule.direction, _DIRECTIONS[rule.direction]),
            "Action": EnumValue(rule.action, _ACTIONS[rule.action]),
        },
    )


def _apply(call: Call, rule: FirewallRule) -> None:
    """Give a rule the settings that a cmdlet was given."""
    protocol = call.text("Protocol", rule.protocol)
    if call.has("LocalPort") and protocol == "Any":
        raise call.failure(
            "The port is invalid. Ports can be given for the protocols TCP and UDP only.", _CIM_EXCEPTION
        )
    rule.direction = call.text("Direction", rule.direction)
    rule.action = call.text("Action", rule.action)
    rule.enabled = call.text("Enabled", str(rule.enabled)) == "True"
    rule.profile = call.text("Profile", rule.profile)
    rule.protocol = protocol
    rule.local_port = call.text("LocalPort", rule.local_port)


@cmdlet("Get-NetFirewallRule", Parameter("Name", position=0), _ACTIVE_STORE)
def get_net_firewall_rule(call: Call) -> Sequence[Value]:
    """Return the rules, or the one with a name."""
    if not call.has("Name"):
        return [_rule_object(rule) for rule in call.guest.firewall_rules] if _is_served(call) else []
    rule = _rule(call)
    return [_rule_object(rule)] if rule else []


@cmdlet("New-NetFirewallRule", Parameter("Name"), Parameter("DisplayName", mandatory=True), *_SETTINGS)
def new_net_firewall_rule(call: Call) -> Sequence[Value]:
    """Make a rule."""
    if not _is_served(call):
        return []
    name = call.text("Name") or f"{{{call.shell.new_guid()}}}"
    if any(rule.name.lower() == name.lower() for rule in call.guest.firewall_rules):
        raise call.failure("Cannot create a file when that file already exists. ", _CIM_EXCEPTION)
    rule = FirewallRule(name, call.text("DisplayName"), "", "Inbound", "Allow", True, "Any", "Any", "Any")
    _apply(call, rule)
    call.guest.firewall_rules.append(rule)
    return [_rule_object(rule)]


@cmdlet("Set-NetFirewallRule", Parameter("Name", mandatory=True, position=0), *_SETTINGS)
def set_net_firewall_rule(call: Call) -> Sequence[Value]:
    """Change settings of a rule."""
    if rule := _rule(call):
        _apply(call, rule)
    return []


@cmdlet(
    "Get-NetFirewallPortFilter",
    Parameter("AssociatedNetFirewallRule", "System.Object", mandatory=True, pipeline=True),
)
def get_net_firewall_port_filter(call: Call) -> Sequence[Value]:
    """Return the protocol and port of rules."""
    if not _is_served(call):
        return []
    given = call.input if call.input is not None else [call.arguments["AssociatedNetFirewallRule"]]
    names = [to_text(item.properties.get("Name")) for item in given if isinstance(item, PSObject)]
    return [
        PSObject(_CIM_INSTANCE, {"Protocol": rule.protocol, "LocalPort": rule.local_port})
        for name in names
        for rule in call.guest.firewall_rules
        if rule.name == name
    ]


@cmdlet("Get-NetFirewallProfile", _ACTIVE_STORE)
def get_net_firewall_profile(call: Call) -> Sequence[Value]:
    """Return whether the firewall is on, by network profile."""
    if not _is_served(call):
        return []
    return [
        PSObject(_CIM_INSTANCE, {"Name": name, "Enabled": _ENABLED[call.guest.firewall_profiles[name]]})
        for name in NETWORK_PROFILES
    ]
