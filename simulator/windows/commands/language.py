"""Cmdlets of the language itself: output, pipelines, strict mode."""

from collections.abc import Sequence

from simulator.windows.cmdlets import Call, Parameter, cmdlet
from simulator.windows.members import get_property
from simulator.windows.values import CUSTOM_OBJECT, PSObject, Value, collected, items, to_text, truth

_INPUT = Parameter("InputObject", "System.Object", pipeline=True)
_SCRIPT_BLOCK = "System.Management.Automation.ScriptBlock"


@cmdlet("Set-StrictMode", Parameter("Version", mandatory=True, known=("Latest",)))
def set_strict_mode(call: Call) -> Sequence[Value]:
    """Turn strict mode on."""
    call.shell.strict = True
    return []


@cmdlet("Write-Output", Parameter("InputObject", "System.Object", mandatory=True, position=0, pipeline=True))
def write_output(call: Call) -> Sequence[Value]:
    """Send objects down the pipeline."""
    return items(call.arguments["InputObject"]) if call.input is None else call.input


@cmdlet("Write-Host", Parameter("Object", "System.Object", position=0))
def write_host(call: Call) -> Sequence[Value]:
    """Write to the host, which is the standard output of a script that runs without one."""
    call.shell.write_line(call.text("Object"))
    return []


@cmdlet("Write-Warning", Parameter("Message", mandatory=True, position=0))
def write_warning(call: Call) -> Sequence[Value]:
    """Write a warning to the host."""
    call.shell.write_line(f"WARNING: {call.text('Message')}")
    return []


@cmdlet("Write-Error", Parameter("Message", mandatory=True, position=0))
def write_error(call: Call) -> Sequence[Value]:
    """Report an error that need not end the statement."""
    call.report(call.text("Message"), "Microsoft.PowerShell.Commands.WriteErrorException")
    return []


@cmdlet("Out-Null", Parameter("InputObject", "System.Object", position=0, pipeline=True))
def out_null(_: Call) -> Sequence[Value]:
    """Swallow the pipeline."""
    return []


@cmdlet("Where-Object", Parameter("FilterScript", _SCRIPT_BLOCK, mandatory=True, position=0), _INPUT)
def where_object(call: Call) -> Sequence[Value]:
    """Pass on the objects for which the script block gives something true."""
    block = call.block("FilterScript")
    return [item for item in call.input or [] if truth(collected(call.shell.run_block(block, item)))]


@cmdlet("ForEach-Object", Parameter("Process", _SCRIPT_BLOCK, mandatory=True, position=0), _INPUT)
def for_each_object(call: Call) -> Sequence[Value]:
    """Pass on what the script block gives for each object."""
    block = call.block("Process")
    return [value for item in call.input or [] for value in call.shell.run_block(block, item)]


@cmdlet(
    "Select-Object",
    Parameter("Property", "System.String[]", position=0),
    Parameter("First", "System.Int32"),
    Parameter("Last", "System.Int32"),
    Parameter("ExpandProperty"),
    _INPUT,
)
def select_object(call: Call) -> Sequence[Value]:
    """Pass on the first or last objects, or some of their properties."""
    chosen = list(call.input or [])
    if call.has("First"):
        chosen = chosen[: call.integer("First")]
    if call.has("Last"):
        chosen = chosen[max(0, len(chosen) - call.integer("Last")) :]
    if call.has("ExpandProperty"):
        name = call.text("ExpandProperty")
        return [value for item in chosen for value in items(get_property(item, name, strict=True))]
    if call.has("Property"):
        return [
            PSObject(CUSTOM_OBJECT, {name: get_property(item, name, strict=False) for name in call.texts("Property")})
            for item in chosen
        ]
    return chosen


@cmdlet("Start-Sleep", Parameter("Seconds", "System.Int32", position=0), Parameter("Milliseconds", "System.Int32"))
def start_sleep(_: Call) -> Sequence[Value]:
    """Let time pass, which it does not here."""
    return []


@cmdlet("Join-Path", Parameter("Path", mandatory=True, position=0), Parameter("ChildPath", mandatory=True, position=1))
def join_path(call: Call) -> Sequence[Value]:
    """Put a path together."""
    return [f"{call.text('Path').rstrip(chr(92))}\\{to_text(call.arguments['ChildPath']).lstrip(chr(92))}"]
