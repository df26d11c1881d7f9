"""Cmdlets over Windows services."""

from collections.abc import Sequence

from simulator.windows.cmdlets import SWITCH, Call, Parameter, cmdlet
from simulator.windows.guest import Service
from simulator.windows.values import EnumValue, PSObject, Value

_STATUSES = {"Stopped": 1, "Running": 4}


def _service(call: Call) -> Service | None:
    """Return the service with the name, or None after its absence has been reported."""
    name = call.text("Name")
    service = call.guest.service(name)
    if service is None:
        call.report(
            f"Cannot find any service with service name '{name}'.",
            "Microsoft.PowerShell.Commands.ServiceCommandException",
        )
    return service


@cmdlet("Get-Service", Parameter("Name", mandatory=True, position=0))
def get_service(call: Call) -> Sequence[Value]:
    """Return a service."""
    service = _service(call)
    if not service:
        return []
    properties: dict[str, Value] = {
        "Name": service.name,
        "DisplayName": service.display_name,
        "Status": EnumValue(service.status, _STATUSES[service.status]),
    }
    return [PSObject("System.ServiceProcess.ServiceController", properties)]


@cmdlet("Restart-Service", Parameter("Name", mandatory=True, position=0), Parameter("Force", SWITCH))
def restart_service(call: Call) -> Sequence[Value]:
    """Stop a service and start it."""
    if service := _service(call):
        call.guest.start_service(service)
    return []
