"""Runs a script's tree against a guest, as Windows PowerShell 5.1 does."""

import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from simulator.windows import operators, syntax
from simulator.windows.cmdlets import ERROR_ACTIONS, SWITCH, Argument, Call, Cmdlet, Parameter, bind
from simulator.windows.commands import CMDLETS, PROGRAMS
from simulator.windows.domain import Domain
from simulator.windows.errors import ErrorRecord, NotSimulated, Position, PowerShellError
from simulator.windows.guest import Guest
from simulator.windows.members import call_method, call_static, get_property, set_property
from simulator.windows.syntax import Block, Expression, Statement
from simulator.windows.values import (
    Array,
    EnumValue,
    Hashtable,
    PSObject,
    TypeName,
    Value,
    collected,
    convert,
    error_value,
    is_a,
    items,
    resolve_type,
    to_text,
    truth,
    type_of,
)

MAX_ITERATIONS = 10_000
"""Rounds after which a `while` loop is taken for one that never ends."""

_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}
_OTHER_AUTOMATIC_VARIABLES = frozenset(
    [
        "?",
        "^",
        "$",
        "args",
        "error",
        "event",
        "eventargs",
        "eventsubscriber",
        "executioncontext",
        "foreach",
        "home",
        "host",
        "input",
        "iscoreclr",
        "islinux",
        "ismacos",
        "iswindows",
        "lastexitcode",
        "matches",
        "myinvocation",
        "nestedpromptlevel",
        "ofs",
        "pid",
        "profile",
        "psboundparameters",
        "pscmdlet",
        "pscommandpath",
        "psculture",
        "psdebugcontext",
        "psitem",
        "pshome",
        "psscriptroot",
        "pssenderinfo",
        "psuiculture",
        "psversiontable",
        "pwd",
        "sender",
        "shellid",
        "stacktrace",
        "switch",
        "this",
    ]
)
_EMPTY_VALUES: dict[str, Value] = {
    "System.String": "",
    "System.Int32": 0,
    "System.Boolean": False,
    SWITCH: False,
}

Output = Callable[[Value], None]
"""Takes what a statement sends down the pipeline."""


class _Return(Exception):
    """`return`."""


class _Loop(Exception):
    """`break` or `continue`."""

    def __init__(self, keyword: str, position: Position) -> None:
        super().__init__(keyword)
        self.keyword = keyword
        self.position = position


class Exit(Exception):
    """`exit`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class _Slot:
    """A variable's value, and the type that it was declared with or an empty string."""

    value: Value
    type_name: str = ""


class Interpreter:
    """One PowerShell process.

    Attributes:
        guest: The machine that it runs on.
        domain: The Active Directory domain that the machine can reach.
        output: Lines of its standard output.
        errors: Lines of its standard error.
        strict: Whether strict mode is on.

    """

    def __init__(self, guest: Guest, domain: Domain) -> None:
        self.guest = guest
        self.domain = domain
        self.output: list[str] = []
        self.errors: list[str] = []
        self.strict = False
        self._scopes: list[dict[str, _Slot]] = [
            {"erroractionpreference": _Slot("Continue"), "progresspreference": _Slot("Continue")}
        ]
        self._functions: dict[str, syntax.Function] = {}
        self._caught: list[ErrorRecord] = []
        self._position: Position | None = None
        self._tries = 0
        self._guids = 0
        self._environment = {
            "computername": guest.computer_name,
            "systemdrive": "C:",
            "systemroot": r"C:\Windows",
            "temp": r"C:\Windows\TEMP",
        }

    def run(self, script: syntax.Script, parameters: Mapping[str, str]) -> None:
        """Run a script to its end.

        Args:
            script: Its tree.
            parameters: Its arguments by parameter name.

        Raises:
            Exit: It ended by `exit`.
            PowerShellError: It ended by an error.
            NotSimulated: It uses something that is not known here.

        """
        arguments = [Argument(name, value) for name, value in parameters.items()]
        try:
            self._declare(script.parameters, "", arguments)
            self._block(script.body, self._print)
        except _Return:
            pass
        except _Loop as loop:
            message = f"The simulated PowerShell does not know {loop.keyword} outside a loop."
            raise NotSimulated(message, loop.position) from None

    # What cmdlets need.

    def write_error_line(self, text: str) -> None:
        """Write to the standard error."""
        self.errors.append(text)

    def report(self, record: ErrorRecord, action: str) -> None:
        """Deal with an error that need not end the statement, as an `-ErrorAction` says."""
        if action == "Stop":
            raise PowerShellError(record, thrown=True)
        if action == "Continue":
            record.position = record.position or self._position
            self.write_error_line(record.render())

    def run_block(self, block: syntax.ScriptBlock, item: Value) -> list[Value]:
        """Return the output of a script block for one object of the pipeline."""
        stream: list[Value] = []
        with self._current_object(item), suppress(_Return):
            self._block(block.body, stream.append)
        return stream

    @contextmanager
    def _current_object(self, value: Value) -> Generator[None]:
        """Let `$_` be a value for a while."""
        scope = self._scopes[-1]
        before = scope.get("_")
        scope["_"] = _Slot(value)
        try:
            yield
        finally:
            scope.pop("_")
            if before:
                scope["_"] = before

    def run_program(self, path: str, arguments: Sequence[str]) -> tuple[list[str], int] | None:
        """Run an executable; return its output lines and exit code, or None where there is none of that name."""
        name = path.lower().removeprefix("c:\\windows\\system32\\").removesuffix(".exe")
        program = PROGRAMS.get(name)
        return program(self.guest, arguments) if program else None

    def new_guid(self) -> str:
        """Return a GUID: another one each time, the same ones for the same guest."""
        self._guids += 1
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.guest.vm_id}/{self._guids}"))

    # Statements.

    def _block(self, block: Block, out: Output) -> None:
        for statement in block:
            self._position = statement.at
            try:
                self._statement(statement, out)
            except NotSimulated as error:
                error.position = error.position or statement.at
                raise
            except PowerShellError as error:
                error.record.position = error.record.position or statement.at
                if error.thrown or self._tries or self._preference() == "Stop":
                    raise
                self.report(error.record, self._preference())

    def _preference(self) -> str:
        return to_text(self._lookup("erroractionpreference"))

    def _statement(self, statement: Statement, out: Output) -> None:
        match statement:
            case syntax.Pipeline():
                for value in self._stream(statement):
                    out(value)
            case syntax.Assignment():
                self._assign(statement)
            case syntax.If():
                for condition, body in statement.clauses:
                    if truth(self._value(condition)):
                        self._block(body, out)
                        return
                self._block(statement.otherwise, out)
            case syntax.ForEach():
                source = self._value(statement.source)
                for item in [] if source is None else items(source):
                    self._set_variable(statement.variable, item)
                    if not self._round(statement.body, out):
                        break
            case syntax.While():
                self._while(statement, out)
            case syntax.Try():
                self._try(statement, out)
            case syntax.FlowControl():
                self._flow_control(statement, out)
            case syntax.Function():
                self._functions[statement.name.lower()] = statement

    def _while(self, statement: syntax.While, out: Output) -> None:
        rounds = 0
        while truth(self._value(statement.condition)):
            rounds += 1
            if rounds > MAX_ITERATIONS:
                raise NotSimulated(f"This loop did not end after {MAX_ITERATIONS} rounds.", statement.at)
            if not self._round(statement.body, out):
                break

    def _round(self, body: Block, out: Output) -> bool:
        """Run a loop's body once; return whether the loop goes on."""
        try:
            self._block(body, out)
        except _Loop as loop:
            return loop.keyword == "continue"
        return True

    def _try(self, statement: syntax.Try, out: Output) -> None:
        # A misspelt type must not stay unseen until an error comes.
        types = [[resolve_type(name) for name in catch.types] for catch in statement.catches]
        try:
            try:
                self._guarded(statement.body, out)
            except PowerShellError as error:
                record = error.record
                for catch, names in zip(statement.catches, types, strict=True):
                    if not names or any(record.is_a(name) for name in names):
                        self._handle(catch.body, record, out)
                        break
                else:
                    raise
        except NotSimulated:
            raise
        except Exception:
            self._block(statement.last, out)
            raise
        self._block(statement.last, out)

    def _guarded(self, body: Block, out: Output) -> None:
        self._tries += 1
        try:
            self._block(body, out)
        finally:
            self._tries -= 1

    def _handle(self, body: Block, record: ErrorRecord, out: Output) -> None:
        self._caught.append(record)
        try:
            with self._current_object(error_value(record)):
                self._block(body, out)
        finally:
            self._caught.pop()

    def _flow_control(self, statement: syntax.FlowControl, out: Output) -> None:
        match statement.keyword:
            case "return":
                if statement.value:
                    for item in self._output_of(statement.value):
                        out(item)
                raise _Return
            case "exit":
                code = convert(self._value(statement.value) if statement.value else 0, "System.Int32")
                raise Exit(code if isinstance(code, int) else 1)
            case "throw":
                self._throw(statement)
            case _:
                raise _Loop(statement.keyword, statement.at)

    def _throw(self, statement: syntax.FlowControl) -> NoReturn:
        value = self._value(statement.value) if statement.value else None
        if isinstance(value, PSObject) and value.error:
            record = value.error
        elif isinstance(value, PSObject) and is_a(value, "System.Exception"):
            record = ErrorRecord(to_text(value.properties["Message"]), value.type_name, position=statement.at)
        elif statement.value:
            record = ErrorRecord(to_text(value), position=statement.at)
        elif self._caught:
            record = self._caught[-1]
        else:
            record = ErrorRecord("ScriptHalted", position=statement.at)
        raise PowerShellError(record, thrown=True)

    # Variables.

    def _declare(
        self, declarations: Sequence[syntax.ParameterDeclaration], command: str, arguments: Sequence[Argument]
    ) -> None:
        """Bind the arguments of a script or function to the variables of the innermost scope."""
        parameters: list[Parameter] = []
        for place, declaration in enumerate(declarations):
            type_name = resolve_type(declaration.type_name or "object")
            parameters.append(
                Parameter(
                    declaration.name,
                    type_name,
                    mandatory=declaration.mandatory,
                    position=None if type_name == SWITCH else place,
                    values=declaration.values,
                    not_empty=declaration.not_empty,
                )
            )
        bound = bind(command, parameters, arguments, has_input=False)
        for declaration, parameter in zip(declarations, parameters, strict=True):
            value = bound.get(parameter.name, _EMPTY_VALUES.get(parameter.type_name))
            if parameter.name not in bound and declaration.default:
                value = convert(self._evaluate(declaration.default), parameter.type_name)
            self._scopes[-1][parameter.name.lower()] = _Slot(value, parameter.type_name)

    def _lookup(self, name: str) -> Value:
        slot = next((scope[name] for scope in reversed(self._scopes) if name in scope), None)
        return slot.value if slot else None

    def _get_variable(self, variable: syntax.Variable) -> Value:
        name = variable.name.lower()
        if variable.drive == "env":
            if name not in self._environment:
                raise NotSimulated(f"The simulated Windows does not know $env:{variable.name}.", variable.at)
            return self._environment[name]
        if variable.drive:
            raise NotSimulated(f"The simulated PowerShell does not know ${variable.drive}: here.", variable.at)
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name].value
        if name in _OTHER_AUTOMATIC_VARIABLES - {"lastexitcode", "matches"} or name.endswith("preference"):
            raise NotSimulated(f"The simulated PowerShell does not know ${variable.name}.", variable.at)
        if self.strict:
            raise PowerShellError(
                ErrorRecord(
                    f"The variable '${variable.name}' cannot be retrieved because it has not been set.",
                    position=variable.at,
                )
            )
        return None

    def _set_variable(self, variable: syntax.Variable, value: Value, type_name: str = "") -> None:
        name = variable.name.lower()
        if name == "null" and not variable.drive:
            return
        if name in _CONSTANTS:
            raise PowerShellError(
                ErrorRecord(
                    f"Cannot overwrite variable {name} because it is read-only or constant.", position=variable.at
                )
            )
        known_preference = name in self._scopes[0]
        if (
            variable.drive
            or name in _OTHER_AUTOMATIC_VARIABLES
            or (name.endswith("preference") and not known_preference)
        ):
            raise NotSimulated(f"The simulated PowerShell cannot set ${variable.name}.", variable.at)
        if name == "erroractionpreference":
            known = {action.lower(): action for action in ERROR_ACTIONS}
            value = known.get(to_text(value).lower())
            if not value:
                raise NotSimulated("The simulated PowerShell does not know this preference.", variable.at)
        scope = self._scopes[-1]
        type_name = type_name or (scope[name].type_name if name in scope else "")
        scope[name] = _Slot(convert(value, type_name) if type_name else value, type_name)

    def _assign(self, statement: syntax.Assignment) -> Value:
        target, value = statement.target, self._value(statement.value)
        if statement.operator != "=":
            before = self._evaluate(target)
            value = operators.arithmetic(statement.operator[0], before, value)
        match target:
            case syntax.Variable():
                self._set_variable(target, value)
            case syntax.Cast(operand=syntax.Variable() as variable):
                self._set_variable(variable, value, resolve_type(target.type_name))
            case syntax.Member():
                set_property(self._evaluate(target.target), to_text(self._evaluate(target.name)), value)
            case syntax.Index():
                self._set_element(self._evaluate(target.target), self._evaluate(target.index), value)
            case syntax.Cast():
                raise NotSimulated("The simulated PowerShell cannot assign to this.", target.at)
        return value

    def _set_element(self, target: Value, index: Value, value: Value) -> None:
        if isinstance(target, Hashtable):
            target[to_text(index)] = value
        elif isinstance(target, Array) and isinstance(index, int):
            if not -len(target) <= index < len(target):
                raise PowerShellError(ErrorRecord("Index was outside the bounds of the array."))
            target[index] = value
        else:
            raise NotSimulated(f"The simulated PowerShell cannot set an element of {type_of(target)}.")

    # Pipelines and commands.

    def _value(self, statement: Statement) -> Value:
        """Return what a statement stands for where a value is wanted."""
        if isinstance(statement, syntax.Assignment):
            return self._assign(statement)
        if isinstance(statement, syntax.Pipeline) and len(statement.stages) == 1:
            (stage,) = statement.stages
            if not isinstance(stage, syntax.Command):
                return self._evaluate(stage)
        return collected(self._output_of(statement))

    def _output_of(self, statement: Statement) -> list[Value]:
        stream: list[Value] = []
        self._statement(statement, stream.append)
        return stream

    def _stream(self, pipeline: syntax.Pipeline) -> list[Value]:
        stream: list[Value] | None = None
        for stage in pipeline.stages:
            stream = self._command(stage, stream) if isinstance(stage, syntax.Command) else self._emitted(stage)
        return stream or []

    def _emitted(self, expression: Expression) -> list[Value]:
        """Return what an expression sends down the pipeline."""
        match expression:
            case syntax.Parenthesized(statement=syntax.Pipeline() as pipeline):
                return self._stream(pipeline)
            case syntax.SubExpression():
                return self._collect(expression.body)
            case syntax.Increment():
                self._evaluate(expression)
                return []
            case _:
                return items(self._evaluate(expression))

    def _collect(self, block: Block) -> list[Value]:
        stream: list[Value] = []
        self._block(block, stream.append)
        return stream

    def _command(self, command: syntax.Command, stream: list[Value] | None) -> list[Value]:
        name = command.name if isinstance(command.name, str) else to_text(self._evaluate(command.name))
        self._position = command.at
        try:
            if function := self._functions.get(name.lower()):
                if stream is not None:
                    raise NotSimulated(f"{name} : The simulated PowerShell passes no pipeline input to functions.")
                return self._call_function(function, self._arguments(command))
            if cmdlet := CMDLETS.get(name.lower()):
                return self._call_cmdlet(cmdlet, self._arguments(command), stream)
            if stream is None and (ended := self.run_program(name, self._program_arguments(command))):
                lines, exit_code = ended
                self._scopes[0]["lastexitcode"] = _Slot(exit_code)
                return list(lines)
        except NotSimulated as error:
            error.position = error.position or command.at
            raise
        except PowerShellError as error:
            error.record.position = error.record.position or command.at
            raise
        raise NotSimulated(
            f"The term '{name}' is not recognized as the name of a cmdlet, function, script file, or operable program "
            "by the simulated Windows.",
            command.at,
        )

    def _arguments(self, command: syntax.Command) -> list[Argument]:
        arguments: list[Argument] = []
        for argument in command.arguments:
            match argument:
                case syntax.Named():
                    value = self._evaluate(argument.value) if argument.value else None
                    arguments.append(Argument(argument.name, value, has_value=argument.value is not None))
                case syntax.Splat():
                    splatted = self._get_variable(argument.variable)
                    if isinstance(splatted, Hashtable):
                        arguments += [Argument(name, value) for name, value in splatted.items()]
                    else:
                        arguments += [Argument(value=value) for value in items(splatted)]
                case _:
                    arguments.append(Argument(value=self._evaluate(argument)))
        return arguments

    def _program_arguments(self, command: syntax.Command) -> list[str]:
        arguments: list[str] = []
        for argument in command.arguments:
            if isinstance(argument, syntax.Named | syntax.Splat):
                raise NotSimulated("The simulated PowerShell passes only plain arguments to programs.", command.at)
            arguments += [to_text(item) for item in items(self._evaluate(argument))]
        return arguments

    def _call_function(self, function: syntax.Function, arguments: Sequence[Argument]) -> list[Value]:
        stream: list[Value] = []
        self._scopes.append({})
        try:
            self._declare(function.parameters, function.name, arguments)
            self._block(function.body, stream.append)
        except _Return:
            pass
        finally:
            self._scopes.pop()
        return stream

    def _call_cmdlet(self, cmdlet: Cmdlet, arguments: Sequence[Argument], stream: list[Value] | None) -> list[Value]:
        parameters = [*cmdlet.parameters, Parameter("ErrorAction", known=ERROR_ACTIONS)]
        bound = bind(cmdlet.name, parameters, arguments, has_input=stream is not None)
        action = to_text(bound.get("ErrorAction", self._preference()))
        return list(cmdlet.run(Call(self, cmdlet.name, bound, stream, action)))

    def _print(self, value: Value) -> None:
        match value:
            case None:
                pass
            case Array():
                for item in value:
                    self._print(item)
            case str() | bool() | int() | float() | EnumValue():
                self.output.append(to_text(value))
            case _:
                raise NotSimulated(
                    f"The simulated PowerShell cannot print {type_of(value)}: write a text, or pipe to Out-Null."
                )

    # Expressions.

    def _evaluate(self, expression: Expression) -> Value:
        match expression:
            case syntax.Literal():
                return expression.value
            case syntax.ExpandableString():
                return "".join(
                    part if isinstance(part, str) else to_text(collected(self._emitted(part)))
                    for part in expression.parts
                )
            case syntax.Variable():
                return self._get_variable(expression)
            case syntax.ArrayLiteral():
                return Array(self._evaluate(item) for item in expression.items)
            case syntax.ArrayExpression():
                return Array(self._collect(expression.body))
            case syntax.SubExpression():
                return collected(self._collect(expression.body))
            case syntax.Parenthesized():
                return self._value(expression.statement)
            case syntax.HashLiteral():
                table = Hashtable()
                for key, value in expression.entries:
                    table[to_text(self._evaluate(key))] = self._value(value)
                return table
            case syntax.ScriptBlock():
                return expression
            case syntax.TypeLiteral():
                return TypeName(resolve_type(expression.name))
            case syntax.Cast():
                return convert(self._evaluate(expression.operand), resolve_type(expression.type_name))
            case syntax.Unary():
                return self._unary(expression)
            case syntax.Binary():
                return self._binary(expression)
            case syntax.Increment():
                before = self._get_variable(expression.target)
                self._set_variable(expression.target, operators.arithmetic("+", before, expression.by))
                return before
            case syntax.Member():
                return self._member(expression)
            case syntax.Invocation():
                return self._invocation(expression)
            case syntax.Index():
                return self._index(self._evaluate(expression.target), self._evaluate(expression.index))

    def _unary(self, expression: syntax.Unary) -> Value:
        value = self._evaluate(expression.operand)
        match expression.operator:
            case "-not" | "!":
                return not truth(value)
            case ",":
                return Array([value])
            case "-":
                return operators.negated(value)
            case _:
                return operators.arithmetic("+", 0, value)

    def _binary(self, expression: syntax.Binary) -> Value:
        name = expression.operator
        left = self._evaluate(expression.left)
        if name == "-and":
            return truth(left) and truth(self._evaluate(expression.right))
        if name == "-or":
            return truth(left) or truth(self._evaluate(expression.right))
        right = self._evaluate(expression.right)
        if name.endswith("match") and not name.endswith("notmatch") and not isinstance(left, Array):
            groups = operators.match_groups(name, to_text(left), right)
            if groups:
                self._scopes[-1]["matches"] = _Slot(groups)
            return groups is not None
        return operators.binary(name, left, right)

    def _member(self, expression: syntax.Member) -> Value:
        name = to_text(self._evaluate(expression.name))
        target = self._evaluate(expression.target)
        if expression.static:
            raise NotSimulated(f"The simulated Windows does not know [{to_text(target)}]::{name}.", expression.at)
        return get_property(target, name, strict=self.strict)

    def _invocation(self, expression: syntax.Invocation) -> Value:
        name = to_text(self._evaluate(expression.name))
        target = self._evaluate(expression.target)
        arguments = [self._evaluate(argument) for argument in expression.arguments]
        if not expression.static:
            return call_method(target, name, arguments)
        if target == TypeName("System.Guid") and name.lower() == "newguid" and not arguments:
            return PSObject("System.Guid", text=self.new_guid())
        return call_static(to_text(target), name, arguments)

    def _index(self, target: Value, index: Value) -> Value:
        if target is None:
            raise PowerShellError(ErrorRecord("Cannot index into a null array."))
        if isinstance(target, Hashtable):
            return target.get(to_text(index))
        if isinstance(target, Array | str) and isinstance(index, Array):
            return Array(self._index(target, item) for item in index)
        if isinstance(target, Array | str) and isinstance(index, int):
            if -len(target) <= index < len(target):
                return target[index]
            if self.strict:
                raise PowerShellError(ErrorRecord("Index was outside the bounds of the array."))
            return None
        raise NotSimulated(f"The simulated PowerShell cannot index {type_of(target)} by {type_of(index)}.")
