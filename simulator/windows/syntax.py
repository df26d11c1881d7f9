"""The text of a script as a tree of statements and expressions.

The grammar is tree-sitter's; its tree is lowered into the small one below, and what has no place in that is
refused before anything runs, in branches that are never taken too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import tree_sitter
import tree_sitter_powershell

from simulator.windows.errors import NotSimulated, Position

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))


@dataclass(frozen=True, slots=True)
class Literal:
    """A text or number as written."""

    at: Position
    value: str | int | float


@dataclass(frozen=True, slots=True)
class ExpandableString:
    """A text in double quotes: pieces of text and of code."""

    at: Position
    parts: tuple["str | Expression", ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`, or `$env:name` with `drive` being `env`."""

    at: Position
    name: str
    drive: str = ""


@dataclass(frozen=True, slots=True)
class ArrayLiteral:
    """`1, 2`."""

    at: Position
    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class ArrayExpression:
    """`@( ... )`."""

    at: Position
    body: "Block"


@dataclass(frozen=True, slots=True)
class SubExpression:
    """`$( ... )`."""

    at: Position
    body: "Block"


@dataclass(frozen=True, slots=True)
class Parenthesized:
    """`( ... )`."""

    at: Position
    statement: "Pipeline | Assignment"


@dataclass(frozen=True, slots=True)
class HashLiteral:
    """`@{ key = value }`."""

    at: Position
    entries: tuple[tuple["Expression", "Statement"], ...]


@dataclass(frozen=True, slots=True)
class ScriptBlock:
    """`{ ... }` as a value."""

    at: Position
    body: "Block"


@dataclass(frozen=True, slots=True)
class TypeLiteral:
    """`[name]`."""

    at: Position
    name: str


@dataclass(frozen=True, slots=True)
class Cast:
    """`[type]operand`."""

    at: Position
    type_name: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Unary:
    """An operator before its operand."""

    at: Position
    operator: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator between its operands."""

    at: Position
    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Increment:
    """`$name++` or `$name--`; `by` is 1 or -1."""

    at: Position
    target: Variable
    by: int


@dataclass(frozen=True, slots=True)
class Member:
    """`target.name`, or `[type]::name` when static."""

    at: Position
    target: "Expression"
    name: "Expression"
    static: bool


@dataclass(frozen=True, slots=True)
class Invocation:
    """`target.name(arguments)`, or `[type]::name(arguments)` when static."""

    at: Position
    target: "Expression"
    name: "Expression"
    static: bool
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`target[index]`."""

    at: Position
    target: "Expression"
    index: "Expression"


Expression = (
    Literal
    | ExpandableString
    | Variable
    | ArrayLiteral
    | ArrayExpression
    | SubExpression
    | Parenthesized
    | HashLiteral
    | ScriptBlock
    | TypeLiteral
    | Cast
    | Unary
    | Binary
    | Increment
    | Member
    | Invocation
    | Index
)
"""What has a value."""


@dataclass(frozen=True, slots=True)
class Named:
    """`-Name`, or `-Name:value`, among a command's arguments."""

    name: str
    value: Expression | None = None


@dataclass(frozen=True, slots=True)
class Splat:
    """`@name` among a command's arguments."""

    variable: Variable


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its arguments; `name` is an expression after `&`."""

    at: Position
    name: str | Expression
    arguments: tuple[Named | Splat | Expression, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Expressions and commands whose output is the next one's input."""

    at: Position
    stages: tuple[Expression | Command, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """`target = value`, or with another operator such as `+=`."""

    at: Position
    target: Variable | Cast | Member | Index
    operator: str
    value: "Statement"


@dataclass(frozen=True, slots=True)
class If:
    """`if`/`elseif` clauses in order and the block of `else`."""

    at: Position
    clauses: tuple[tuple["Statement", "Block"], ...]
    otherwise: "Block"


@dataclass(frozen=True, slots=True)
class ForEach:
    """`foreach ($variable in source) { ... }`."""

    at: Position
    variable: Variable
    source: "Statement"
    body: "Block"


@dataclass(frozen=True, slots=True)
class While:
    """`while (condition) { ... }`."""

    at: Position
    condition: "Statement"
    body: "Block"


@dataclass(frozen=True, slots=True)
class Catch:
    """`catch [types] { ... }`; no types catch everything."""

    types: tuple[str, ...]
    body: "Block"


@dataclass(frozen=True, slots=True)
class Try:
    """`try` with its `catch` clauses and the block of `finally`."""

    at: Position
    body: "Block"
    catches: tuple[Catch, ...]
    last: "Block"


@dataclass(frozen=True, slots=True)
class FlowControl:
    """`break`, `continue`, `throw`, `return` or `exit`, with its value."""

    at: Position
    keyword: str
    value: "Statement | None"


@dataclass(frozen=True, slots=True)
class ParameterDeclaration:
    """One parameter of a script or function.

    Attributes:
        at: Where it stands.
        name: Its name.
        type_name: Its type, or an empty string.
        mandatory: Whether `[Parameter(Mandatory)]` is on it.
        not_empty: Whether `[ValidateNotNullOrEmpty()]` is on it.
        values: What `[ValidateSet(...)]` allows; empty allows everything.
        default: Its default value.

    """

    at: Position
    name: str
    type_name: str
    mandatory: bool
    not_empty: bool
    values: tuple[str, ...]
    default: Expression | None


@dataclass(frozen=True, slots=True)
class Function:
    """`function name { param(...) ... }`."""

    at: Position
    name: str
    parameters: tuple[ParameterDeclaration, ...]
    body: "Block"


Statement = Pipeline | Assignment | If | ForEach | While | Try | FlowControl | Function
"""What can be executed."""
Block = tuple[Statement, ...]
"""Statements in order."""


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script."""

    parameters: tuple[ParameterDeclaration, ...]
    body: Block


@lru_cache(maxsize=64)
def parse(text: str) -> Script:
    """Return the tree of a script.

    Raises:
        NotSimulated: The text is no valid script, or uses a construct that is not simulated.

    """
    source = text.encode()
    root = _PARSER.parse(source).root_node
    lowering = _Lowering(source.decode().splitlines() or [""])
    if root.has_error:
        raise lowering.syntax_error(next(_errors(root), root))
    return lowering.script(root)


def _errors(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    if node.is_error or node.is_missing:
        yield node
    for child in node.children:
        if child.has_error:
            yield from _errors(child)


_BINARY = {
    f"{level}_{kind}"
    for level in ("logical", "bitwise", "comparison", "additive", "multiplicative", "format", "range")
    for kind in ("expression", "argument_expression")
}
_WRAPPERS = {
    "unary_expression",
    "argument_expression",
    "string_literal",
    "integer_literal",
    "left_assignment_expression",
}
_BINARY_OPERATORS = {
    *("-and", "-or", "-xor", "+", "-", "*", "/", "%", "..", "-f", "-is", "-isnot"),
    *("-split", "-csplit", "-isplit", "-join"),
    *(
        f"-{case}{operator}"
        for case in ("", "c", "i")
        for operator in (
            *("eq", "ne", "gt", "ge", "lt", "le", "like", "notlike", "match", "notmatch"),
            *("contains", "notcontains", "in", "notin", "replace"),
        )
    ),
}
_UNARY_OPERATORS = {"-not", "!", "-", "+", ","}
_ASSIGNMENT_OPERATORS = {"=", "+=", "-=", "*=", "/=", "%="}
_ESCAPES = {"0": "\0", "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_MULTIPLIERS = {"kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40, "pb": 2**50}
_NUMBER = re.compile(r"(0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)l?(kb|mb|gb|tb|pb)?", re.IGNORECASE)
_VARIABLE = re.compile(r"[$@]\{?(?:(?P<drive>\w+):)?(?P<name>\w+|[?^$])\}?")


class _Lowering:
    """Turns tree-sitter's tree into ours."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    # Places and refusals.

    def _at(self, node: tree_sitter.Node) -> Position:
        row, column = node.start_point
        line = self._lines[min(row, len(self._lines) - 1)]
        return Position(row + 1, len(line.encode()[:column].decode(errors="ignore")) + 1, line)

    def syntax_error(self, node: tree_sitter.Node) -> NotSimulated:
        found = _text(node).strip().split("\n")[0][:40]
        return NotSimulated(f"Syntax error in the script near '{found}'.", self._at(node))

    def _refuse(self, node: tree_sitter.Node, what: str = "") -> NotSimulated:
        what = what or node.type.replace("_", " ")
        return NotSimulated(f"The simulated PowerShell does not know this construct: {what}.", self._at(node))

    def _children(self, node: tree_sitter.Node) -> list[tree_sitter.Node]:
        children: list[tree_sitter.Node] = []
        for child in node.children:
            if child.type != "comment":
                children.append(child)
            elif _text(child).lower().startswith("#requires"):
                raise self._refuse(child, "#Requires")
        return children

    def _named(self, node: tree_sitter.Node) -> list[tree_sitter.Node]:
        return [child for child in self._children(node) if child.is_named]

    # Statements.

    def script(self, root: tree_sitter.Node) -> Script:
        parameters: tuple[ParameterDeclaration, ...] = ()
        body: Block = ()
        for child in self._named(root):
            if child.type == "param_block":
                parameters = self._param_block(child)
            elif child.type == "statement_list":
                body = self._statements(child)
            else:
                raise self._refuse(child)
        return Script(parameters, body)

    def _statements(self, node: tree_sitter.Node) -> Block:
        return tuple(self._statement(child) for child in self._named(node) if child.type != "empty_statement")

    def _block(self, node: tree_sitter.Node) -> Block:
        """Lower a node whose only named child, if any, is a statement list."""
        named = self._named(node)
        return self._statements(named[0]) if named else ()

    def _statement(self, node: tree_sitter.Node) -> Statement:
        match node.type:
            case "pipeline":
                return self._pipeline(node)
            case "if_statement":
                return self._if(node)
            case "foreach_statement":
                return self._foreach(node)
            case "while_statement":
                condition, body = self._named(node)
                return While(self._at(node), self._pipeline(self._named(condition)[0]), self._block(body))
            case "try_statement":
                return self._try(node)
            case "flow_control_statement":
                keyword, *value = self._children(node)
                if value and value[0].type != "pipeline":
                    raise self._refuse(value[0])
                return FlowControl(
                    self._at(node), _text(keyword).strip().lower(), self._pipeline(value[0]) if value else None
                )
            case "function_statement":
                return self._function(node)
            case _:
                raise self._refuse(node)

    def _if(self, node: tree_sitter.Node) -> If:
        condition, body, *rest = self._named(node)
        clauses = [(self._pipeline(condition), self._block(body))]
        otherwise: Block = ()
        for part in rest:
            if part.type == "elseif_clauses":
                for clause in self._named(part):
                    condition, body = self._named(clause)
                    clauses.append((self._pipeline(condition), self._block(body)))
            else:
                otherwise = self._block(self._named(part)[0])
        return If(self._at(node), tuple(clauses), otherwise)

    def _foreach(self, node: tree_sitter.Node) -> ForEach:
        parts = self._named(node)
        if [part.type for part in parts] != ["variable", "pipeline", "statement_block"]:
            raise self._refuse(node)
        return ForEach(self._at(node), self._variable(parts[0]), self._pipeline(parts[1]), self._block(parts[2]))

    def _try(self, node: tree_sitter.Node) -> Try:
        body, *rest = self._named(node)
        if not rest:
            raise NotSimulated("The Try statement is missing its Catch or Finally block.", self._at(node))
        catches: list[Catch] = []
        last: Block = ()
        for part in rest:
            if part.type == "finally_clause":
                last = self._block(self._named(part)[0])
                continue
            for clause in self._named(part):
                *types, block = self._named(clause)
                names = tuple(self._type_name(name) for listed in types for name in self._named(listed))
                catches.append(Catch(names, self._block(block)))
        return Try(self._at(node), self._block(body), tuple(catches), last)

    def _function(self, node: tree_sitter.Node) -> Function:
        keyword = self._children(node)[0]
        if _text(keyword).strip().lower() != "function":
            raise self._refuse(keyword, _text(keyword).strip())
        name, *rest = self._named(node)
        if not re.fullmatch(r"[\w-]+", _text(name)):
            raise self._refuse(name, f"the function name {_text(name)}")
        parameters: tuple[ParameterDeclaration, ...] = ()
        body: Block = ()
        for part in rest:
            if part.type == "function_parameter_declaration":
                parameters = tuple(declared for listed in self._named(part) for declared in self._parameters(listed))
                continue
            for piece in self._named(part):
                if piece.type == "param_block":
                    parameters = self._param_block(piece)
                else:
                    body = self._script_block_body(piece)
        return Function(self._at(node), _text(name), parameters, body)

    def _script_block_body(self, node: tree_sitter.Node) -> Block:
        (statements,) = self._named(node)
        if statements.type != "statement_list":
            raise self._refuse(statements)
        return self._statements(statements)

    # Parameters.

    def _param_block(self, node: tree_sitter.Node) -> tuple[ParameterDeclaration, ...]:
        parameters: tuple[ParameterDeclaration, ...] = ()
        for part in self._named(node):
            if part.type == "parameter_list":
                parameters = self._parameters(part)
                continue
            for attribute in self._named(part):
                if _text(attribute).replace(" ", "").lower() != "[cmdletbinding()]":
                    raise self._refuse(attribute, _text(attribute))
        return parameters

    def _parameters(self, node: tree_sitter.Node) -> tuple[ParameterDeclaration, ...]:
        return tuple(self._parameter(part) for part in self._named(node))

    def _parameter(self, node: tree_sitter.Node) -> ParameterDeclaration:
        name = type_name = ""
        mandatory = not_empty = False
        values: tuple[str, ...] = ()
        default: Expression | None = None
        for part in self._named(node):
            match part.type:
                case "variable":
                    name = self._variable(part).name
                case "script_parameter_default":
                    default = self._expression(self._named(part)[0])
                case _:
                    for attribute in self._named(part):
                        kind, *arguments = self._named(attribute)
                        if kind.type == "type_literal":
                            type_name = self._type_name(kind)
                            continue
                        listed = self._named(arguments[0]) if arguments else []
                        match _text(kind).lower():
                            case "parameter":
                                mandatory = any(self._is_mandatory(argument) for argument in listed)
                            case "validatenotnullorempty":
                                not_empty = True
                            case "validateset":
                                values = tuple(self._constant(self._named(argument)[0]) for argument in listed)
                            case _:
                                raise self._refuse(attribute, _text(attribute))
        return ParameterDeclaration(self._at(node), name, type_name, mandatory, not_empty, values, default)

    def _is_mandatory(self, argument: tree_sitter.Node) -> bool:
        name, *value = self._named(argument)
        if name.type != "simple_name" or _text(name).strip().lower() != "mandatory":
            raise self._refuse(argument, _text(argument))
        return not value or _text(value[0]).strip().lower() == "$true"

    def _constant(self, node: tree_sitter.Node) -> str:
        literal = self._expression(node)
        if isinstance(literal, ExpandableString) and all(isinstance(part, str) for part in literal.parts):
            return "".join(str(part) for part in literal.parts)
        if isinstance(literal, Literal):
            return str(literal.value)
        raise self._refuse(node, _text(node))

    # Pipelines and commands.

    def _pipeline(self, node: tree_sitter.Node) -> Pipeline | Assignment:
        child, *more = self._children(node)
        if more:
            raise self._refuse(more[0], _text(more[0]))
        if child.type == "assignment_expression":
            return self._assignment(child)
        if child.type != "pipeline_chain":
            raise self._refuse(child)
        stages: list[Expression | Command] = []
        for part in self._named(child):
            if part.type in ("pipeline_chain_tail", "redirections"):
                raise self._refuse(part, _text(part))
            stages.append(self._command(part) if part.type == "command" else self._expression(part))
        return Pipeline(self._at(node), tuple(stages))

    def _assignment(self, node: tree_sitter.Node) -> Assignment:
        left, operator, value = self._named(node)
        target = self._expression(left)
        if not isinstance(target, Variable | Cast | Member | Index):
            raise self._refuse(left, "assignment to this")
        if isinstance(target, Cast) and not isinstance(target.operand, Variable):
            raise self._refuse(left, "assignment to this")
        if _text(operator).strip() not in _ASSIGNMENT_OPERATORS:
            raise self._refuse(operator, _text(operator))
        return Assignment(self._at(node), target, _text(operator).strip(), self._statement(value))

    def _command(self, node: tree_sitter.Node) -> Command | Literal | Binary:
        name: str | Expression = ""
        arguments: list[Named | Splat | Expression] = []
        for part in self._children(node):
            match part.type:
                case "command_name":
                    name = self._bareword(part)
                case "command_name_expr":
                    name = self._command_name(self._named(part)[0])
                case "command_invokation_operator":
                    if _text(part) != "&":
                        raise self._refuse(part, "dot sourcing")
                case "command_elements":
                    arguments = self._arguments(part)
                case _:
                    raise self._refuse(part)
        if isinstance(name, str) and name[:1].isdigit():
            return self._leading_number(node, name, arguments)
        return Command(self._at(node), name, tuple(arguments))

    def _leading_number(
        self, node: tree_sitter.Node, name: str, arguments: list[Named | Splat | Expression]
    ) -> Literal | Binary:
        """Lower what the grammar takes for a command because it begins with digits: `1gb` or `1..3`."""
        first, dots, last = name.partition("..")
        if arguments or not _NUMBER.fullmatch(first) or (dots and not _NUMBER.fullmatch(last)):
            raise self._refuse(node, _text(node))
        literal = Literal(self._at(node), _number(first))
        return Binary(self._at(node), dots, literal, Literal(self._at(node), _number(last))) if dots else literal

    def _command_name(self, node: tree_sitter.Node) -> str | Expression:
        if node.type == "path_command_name":
            named = self._named(node)
            if len(named) == 1 and named[0].type == "variable":
                return self._variable(named[0])
            return self._bareword(node)
        return self._bareword(node) if node.type == "command_name" else self._expression(node)

    def _arguments(self, node: tree_sitter.Node) -> list[Named | Splat | Expression]:
        arguments: list[Named | Splat | Expression] = []
        has_colon = False
        for part in self._children(node):
            match part.type:
                case "command_argument_sep":
                    has_colon = _text(part) == ":"
                    continue
                case "command_parameter":
                    arguments.append(Named(_text(part).strip()[1:]))
                    continue
                case "generic_token":
                    value: Splat | Expression = Literal(self._at(part), self._bareword(part))
                case "array_literal_expression":
                    value = self._argument(part)
                case _:
                    raise self._refuse(part, _text(part))
            if has_colon and arguments and isinstance(arguments[-1], Named) and not isinstance(value, Splat):
                arguments[-1] = Named(arguments[-1].name, value)
            else:
                arguments.append(value)
        return arguments

    def _argument(self, node: tree_sitter.Node) -> Splat | Expression:
        inner = _unwrapped(node)
        if inner.type == "variable" and _text(inner).startswith("@"):
            return Splat(self._variable(inner))
        if inner.type == "expression_with_unary_operator" and not re.fullmatch(r"\s*-[\d.]+", _text(inner)):
            # Among arguments PowerShell reads "-join" as a parameter's name, where the grammar sees an operator.
            raise self._refuse(node, f"the argument {_text(inner)}")
        return self._expression(node)

    def _bareword(self, node: tree_sitter.Node) -> str:
        text = _text(node).strip()
        if re.search(r"[$`\"',]", text):
            raise self._refuse(node, f"the unquoted text {text}")
        return text

    # Expressions.

    def _expression(self, node: tree_sitter.Node) -> Expression:
        children = self._children(node)
        if node.type in _WRAPPERS:
            return self._expression(children[0])
        if node.type in _BINARY:
            if len(children) == 1:
                return self._expression(children[0])
            left, operator, right = children
            name = _text(operator).strip().lower()
            if name not in _BINARY_OPERATORS:
                raise self._refuse(operator, f"the operator {name}")
            return Binary(self._at(node), name, self._expression(left), self._expression(right))
        at = self._at(node)
        match node.type:
            case "array_literal_expression":
                items = self._named(node)
                if len(items) == 1:
                    return self._expression(items[0])
                return ArrayLiteral(at, tuple(self._expression(item) for item in items))
            case "expression_with_unary_operator":
                return self._unary(node)
            case "cast_expression":
                type_node, operand = children
                return Cast(at, self._type_name(type_node), self._expression(operand))
            case "post_increment_expression" | "post_decrement_expression":
                target = self._expression(children[0])
                if not isinstance(target, Variable):
                    raise self._refuse(node)
                return Increment(at, target, 1 if node.type == "post_increment_expression" else -1)
            case "parenthesized_expression":
                return Parenthesized(at, self._pipeline(self._named(node)[0]))
            case "sub_expression":
                return SubExpression(at, self._block(node))
            case "array_expression":
                return ArrayExpression(at, self._block(node))
            case "hash_literal_expression":
                return HashLiteral(at, self._hash_entries(node))
            case "script_block_expression":
                bodies = [body for block in self._named(node) for body in self._named(block)]
                if any(body.type != "script_block_body" for body in bodies):
                    raise self._refuse(node, "a script block with parameters")
                return ScriptBlock(at, self._script_block_body(bodies[0]) if bodies else ())
            case "type_literal":
                return TypeLiteral(at, self._type_name(node))
            case "member_access" | "invokation_expression":
                return self._member(node)
            case "element_access":
                target, index = self._named(node)
                return Index(at, self._expression(target), self._expression(index))
            case "variable":
                return self._variable(node)
            case "decimal_integer_literal" | "hexadecimal_integer_literal" | "real_literal":
                return Literal(at, _number(_text(node).strip()))
            case "verbatim_string_characters":
                return Literal(at, _text(node).strip()[1:-1].replace("''", "'"))
            case "verbatim_here_string_characters":
                return Literal(at, _text(node).split("\n", 1)[1].rpartition("\n")[0])
            case "expandable_string_literal" | "expandable_here_string_literal":
                return self._expandable(node)
            case _:
                raise self._refuse(node)

    def _unary(self, node: tree_sitter.Node) -> Expression:
        children = self._children(node)
        if len(children) == 1:
            return self._expression(children[0])
        operator = _text(children[0]).strip().lower()
        if operator not in _UNARY_OPERATORS:
            raise self._refuse(node, f"the operator {operator}")
        return Unary(self._at(node), operator, self._expression(children[1]))

    def _hash_entries(self, node: tree_sitter.Node) -> tuple[tuple[Expression, Statement], ...]:
        entries: list[tuple[Expression, Statement]] = []
        for body in self._named(node):
            for entry in self._named(body):
                key, value, *_ = self._named(entry)
                (key,) = self._named(key)
                name = (
                    Literal(self._at(key), _text(key).strip()) if key.type == "simple_name" else self._expression(key)
                )
                entries.append((name, self._statement(value)))
        return tuple(entries)

    def _member(self, node: tree_sitter.Node) -> Member | Invocation:
        parts = self._children(node)
        if len(parts) < 3:
            raise self._refuse(node)
        (name_node,) = self._children(parts[2])
        name: Expression = (
            Literal(self._at(name_node), _text(name_node).strip())
            if name_node.type == "simple_name"
            else self._expression(name_node)
        )
        target = self._expression(parts[0])
        static = _text(parts[1]).strip() == "::"
        if node.type == "member_access":
            return Member(self._at(parts[2]), target, name, static)
        arguments = [argument for listed in self._named(parts[3]) for argument in self._named(listed)]
        return Invocation(
            self._at(parts[2]), target, name, static, tuple(self._expression(argument) for argument in arguments)
        )

    def _variable(self, node: tree_sitter.Node) -> Variable:
        found = _VARIABLE.fullmatch(_text(node).strip())
        if not found:
            raise self._refuse(node, f"the variable {_text(node)}")
        return Variable(self._at(node), found["name"], (found["drive"] or "").lower())

    def _type_name(self, node: tree_sitter.Node) -> str:
        name = "".join(_text(node).split())[1:-1]
        if not re.fullmatch(r"[\w.]+(\[\])?", name):
            raise self._refuse(node, f"the type [{name}]")
        return name

    def _expandable(self, node: tree_sitter.Node) -> ExpandableString:
        source = node.text or b""
        if node.type == "expandable_string_literal":
            skipped, end = source.index(b'"') + 1, len(source) - 1
        else:
            skipped, end = source.index(b"\n") + 1, source.rindex(b"\n")
        parts: list[str | Expression] = []
        at = skipped
        for child in node.children:
            # Marks such as "" are text; a comment's mark inside a string is too.
            if child.type not in ("variable", "sub_expression"):
                continue
            start = child.start_byte - node.start_byte
            parts.append(_unescaped(source[at:start].decode()))
            parts.append(self._expression(child))
            at = child.end_byte - node.start_byte
            if child.type == "variable" and not _text(child).startswith("${"):
                self._check_after_variable(child, source[at:end].decode())
        parts.append(_unescaped(source[at:end].decode()))
        return ExpandableString(self._at(node), tuple(part for part in parts if part != ""))

    def _check_after_variable(self, node: tree_sitter.Node, following: str) -> None:
        """Refuse text that PowerShell would take for a part of the variable's name, where the grammar ends it."""
        if re.match(r":(?!:)|\?|[^\W]", following):
            raise NotSimulated(
                f"Variable reference is not valid: '{_text(node)}{following[0]}'. "
                "Consider using ${} to delimit the name.",
                self._at(node),
            )


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()


def _unwrapped(node: tree_sitter.Node) -> tree_sitter.Node:
    while node.child_count == 1 and node.type not in ("variable", "expression_with_unary_operator"):
        node = node.children[0]
    return node


def _number(text: str) -> int | float:
    found = _NUMBER.fullmatch(text)
    if not found:
        raise NotSimulated(f"The simulated PowerShell does not know this number: {text}.")
    digits, suffix = found.groups()
    if digits.lower().startswith("0x"):
        value: int | float = int(digits, 16)
    else:
        value = int(digits) if digits.isdigit() else float(digits)
    return value * _MULTIPLIERS[suffix.lower()] if suffix else value


def _unescaped(text: str) -> str:
    text = re.sub(r'""', '"', text)
    return re.sub(r"`(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)
