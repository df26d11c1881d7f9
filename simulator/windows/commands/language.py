"""Cmdlets of the language itself: output, pipelines, strict mode."""

from collections.abc import Sequence

from simulator.windows.cmdlets import Call, Parameter, cmdlet
from simulator.windows.values import Value, collected, items, to_text, truth


@cmdlet("Set-StrictMode", Parameter("Version", mandatory=True, known=("Latest",)))
def set_strict_mode(call: Call) -> Sequence[Value]:
    """Turn strict mode on."""
    call.shell.strict = True
    return []


@cmdlet("Write-Output", Parameter("InputObject", "System.Object", mandatory=True, position=0, pipeline=True))
def write_output(call: Call) -> Sequence[Value]:
    """Send objects down the pipeline."""
    return items(call.arguments["InputObject"]) if call.input is None else call.input


@cmdlet("Out-Null", Parameter("InputObject", "System.Object", position=0, pipeline=True))
def out_null(_: Call) -> Sequence[Value]:
    """Swallow the pipeline."""
    return []


@cmdlet(
    "Where-Object",
    Parameter("FilterScript", "System.Management.Automation.ScriptBlock", mandatory=True, position=0),
    Parameter("InputObject", "System.Object", pipeline=True),
)
def where_object(call: Call) -> Sequence[Value]:
    """Pass on the objects for which the script block gives something true."""
    block = call.block("FilterScript")
    return [item for item in call.input or [] if truth(collected(call.shell.run_block(block, item)))]


@cmdlet("Join-Path", Parameter("Path", mandatory=True, position=0), Parameter("ChildPath", mandatory=True, position=1))
def join_path(call: Call) -> Sequence[Value]:
    """Put a path together."""
    return [f"{call.text('Path').rstrip(chr(92))}\\{to_text(call.arguments['ChildPath']).lstrip(chr(92))}"]
