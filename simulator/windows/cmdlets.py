"""What a cmdlet is: its parameters, how arguments are bound to them, and what it is given when it runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from simulator.windows.domain import Domain
from simulator.windows.errors import ErrorRecord, NotSimulated, PowerShellError
from simulator.windows.guest import Guest
from simulator.windows.syntax import ScriptBlock
from simulator.windows.values import Array, Hashtable, Value, convert, items, to_text, type_of

ERROR_ACTIONS = ("Continue", "SilentlyContinue", "Stop", "Ignore")
"""What `-ErrorAction` and `$ErrorActionPreference` may be here."""
BINDING_EXCEPTION = "System.Management.Automation.ParameterBindingException"
"""What a wrong argument raises."""
SWITCH = "System.Management.Automation.SwitchParameter"
"""The type of a parameter that takes no value."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a cmdlet, script or function.

    Attributes:
        name: Its name.
        type_name: Full name of its type.
        mandatory: Whether the command fails without it.
        position: Its place among the arguments without a name, or None.
        values: What `[ValidateSet(...)]` allows; empty allows everything.
        known: The words out of Windows' own that are known here; empty means that any will do.
        not_empty: Whether it may not be null or empty.
        pipeline: Whether it takes the pipeline's input, which then need not be given by name.

    """

    name: str
    type_name: str = "System.String"
    mandatory: bool = False
    position: int | None = None
    values: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    not_empty: bool = False
    pipeline: bool = False


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command; `has_value` is false for a `-Name` that the next argument may belong to."""

    name: str = ""
    value: Value = None
    has_value: bool = True


class Shell(Protocol):
    """What a cmdlet needs of the PowerShell that runs it.

    Attributes:
        guest: The machine that it runs on.
        domain: The Active Directory domain that the machine can reach.
        strict: Whether strict mode is on.

    """

    guest: Guest
    domain: Domain
    strict: bool

    def report(self, record: ErrorRecord, action: str) -> None:
        """Deal with an error that need not end the statement, as an `-ErrorAction` says."""
        ...

    def run_block(self, block: ScriptBlock, item: Value) -> list[Value]:
        """Return the output of a script block for one object of the pipeline."""
        ...

    def run_program(self, path: str, arguments: Sequence[str]) -> tuple[list[str], int] | None:
        """Run an executable; return its output lines and exit code, or None where there is none of that name."""
        ...

    def new_guid(self) -> str:
        """Return a GUID: another one each time, the same ones for the same guest."""
        ...


@dataclass
class Call:
    """One run of a cmdlet.

    Attributes:
        shell: The PowerShell that runs it.
        name: The cmdlet's name.
        arguments: What was bound, by the parameters' names as documented.
        input: The pipeline's input; None at its beginning.
        error_action: What becomes of an error that need not end the statement.

    """

    shell: Shell
    name: str
    arguments: Mapping[str, Value]
    input: list[Value] | None
    error_action: str

    @property
    def guest(self) -> Guest:
        """The machine that it runs on."""
        return self.shell.guest

    @property
    def domain(self) -> Domain:
        """The Active Directory domain that it can reach."""
        return self.shell.domain

    def has(self, name: str) -> bool:
        """Return whether a parameter was given."""
        return name in self.arguments

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter as text."""
        return to_text(self.arguments[name]) if name in self.arguments else default

    def texts(self, name: str) -> list[str]:
        """Return a parameter as texts."""
        return [to_text(item) for item in items(self.arguments.get(name, Array()))]

    def integer(self, name: str) -> int:
        """Return a parameter as an integer."""
        value = self.arguments[name]
        assert isinstance(value, int)  # noqa: S101 - its type was bound
        return value

    def flag(self, name: str) -> bool:
        """Return whether a switch is on."""
        return bool(self.arguments.get(name, False))

    def block(self, name: str) -> ScriptBlock:
        """Return a parameter as a script block."""
        value = self.arguments[name]
        assert isinstance(value, ScriptBlock)  # noqa: S101 - its type was bound
        return value

    def failure(self, message: str, exception: str = "System.InvalidOperationException") -> PowerShellError:
        """Return an error of this cmdlet that ends the statement, to be raised."""
        return PowerShellError(ErrorRecord(message, exception, self.name))

    def report(self, message: str, exception: str = "System.InvalidOperationException") -> None:
        """Report an error that need not end the statement: `-ErrorAction` decides."""
        self.shell.report(ErrorRecord(message, exception, self.name), self.error_action)


@dataclass(frozen=True)
class Cmdlet:
    """A cmdlet: its name, its parameters, and what it does."""

    name: str
    parameters: tuple[Parameter, ...]
    run: Callable[[Call], Sequence[Value]] = field(repr=False)


def cmdlet(name: str, *parameters: Parameter) -> Callable[[Callable[[Call], Sequence[Value]]], Cmdlet]:
    """Return a decorator that makes a cmdlet of the function that runs it and returns its output."""
    return lambda run: Cmdlet(name, parameters, run)


def bind(
    command: str, parameters: Sequence[Parameter], arguments: Sequence[Argument], *, has_input: bool
) -> dict[str, Value]:
    """Return the value of each parameter that was given.

    Args:
        command: Name for messages; empty for a script.
        parameters: What the command declares.
        arguments: What it was given, in order.
        has_input: Whether the pipeline has input for it.

    Raises:
        PowerShellError: A mandatory parameter is missing, or a value does not fit.
        NotSimulated: A parameter or place is not known here.

    """
    known = {parameter.name.lower(): parameter for parameter in parameters}
    bound: dict[str, Value] = {}
    loose: list[Value] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not argument.name:
            loose.append(argument.value)
            continue
        parameter = known.get(argument.name.lower())
        if not parameter:
            raise NotSimulated(
                f"{_subject(command)}A parameter cannot be found that matches parameter name '{argument.name}'."
            )
        if parameter.name in bound:
            raise _failure(
                command,
                f"Cannot bind parameter because parameter '{parameter.name}' is specified more than once.",
            )
        if argument.has_value:
            value = argument.value
        elif parameter.type_name == SWITCH:
            value = True
        elif waiting and not waiting[0].name:
            value = waiting.pop(0).value
        else:
            raise _failure(
                command,
                f"Missing an argument for parameter '{parameter.name}'. Specify a parameter of type "
                f"'{parameter.type_name}' and try again.",
            )
        bound[parameter.name] = _accepted(command, parameter, value)
    places = sorted(
        (parameter for parameter in parameters if parameter.position is not None and parameter.name not in bound),
        key=lambda parameter: parameter.position or 0,
    )
    if len(loose) > len(places):
        raise NotSimulated(
            f"{_subject(command)}A positional parameter cannot be found that accepts argument "
            f"'{to_text(loose[len(places)])}'."
        )
    for parameter, value in zip(places, loose, strict=False):
        bound[parameter.name] = _accepted(command, parameter, value)
    if has_input and not any(parameter.pipeline for parameter in parameters):
        raise NotSimulated(f"{_subject(command)}The command does not take pipeline input here.")
    missing = [
        parameter.name
        for parameter in parameters
        if parameter.mandatory and parameter.name not in bound and not (has_input and parameter.pipeline)
    ]
    if missing:
        raise _failure(
            command,
            f"Cannot process command because of one or more missing mandatory parameters: {' '.join(missing)}.",
        )
    return bound


def _subject(command: str) -> str:
    return f"{command} : " if command else ""


def _failure(command: str, message: str) -> PowerShellError:
    return PowerShellError(ErrorRecord(message, BINDING_EXCEPTION, command))


def _accepted(command: str, parameter: Parameter, value: Value) -> Value:
    """Return a value as one of the parameter's type, if it is one that the parameter takes."""
    name, type_name = parameter.name, parameter.type_name
    if type_name == "System.String" and isinstance(value, Array | Hashtable):
        raise _failure(
            command,
            f"Cannot process argument transformation on parameter '{name}'. Cannot convert value to type {type_name}.",
        )
    if type_name in (SWITCH, "System.Boolean") and not isinstance(value, bool | int):
        raise _failure(
            command,
            f"Cannot process argument transformation on parameter '{name}'. Cannot convert value "
            f'"{type_of(value)}" to type "{type_name}". Boolean parameters accept only Boolean values and numbers, '
            "such as $True, $False, 1 or 0.",
        )
    try:
        converted = convert(value, type_name)
    except PowerShellError as error:
        raise _failure(
            command, f"Cannot process argument transformation on parameter '{name}'. {error.record.message}"
        ) from None
    empty = converted is None or converted == "" or (isinstance(converted, Array) and not converted)
    if empty and (parameter.not_empty or parameter.mandatory):
        raise _failure(
            command, f"Cannot bind argument to parameter '{name}' because it is null or an empty string or collection."
        )
    if parameter.values and to_text(converted).lower() not in [word.lower() for word in parameter.values]:
        raise _failure(
            command,
            f"Cannot validate argument on parameter '{name}'. The argument \"{to_text(converted)}\" does not belong "
            f'to the set "{",".join(parameter.values)}" specified by the ValidateSet attribute. Supply an argument '
            "that is in the set and then try the command again.",
        )
    if not parameter.known:
        return converted
    for word in parameter.known:
        if word.lower() == to_text(converted).lower() and not isinstance(value, bool):
            return word
    raise NotSimulated(
        f"{_subject(command)}The simulated Windows does not know '{to_text(converted)}' for parameter '{name}', only "
        f"{', '.join(parameter.known)}."
    )
