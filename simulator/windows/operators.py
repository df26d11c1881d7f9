"""The operators of PowerShell between values; all comparison ignores case unless the operator begins with `c`."""

import operator
import re
from collections.abc import Callable

from simulator.windows.errors import ErrorRecord, NotSimulated, PowerShellError
from simulator.windows.values import (
    Array,
    EnumValue,
    Hashtable,
    PSObject,
    TypeName,
    Value,
    convert,
    is_a,
    items,
    to_number,
    to_text,
    truth,
    type_of,
)

_ORDER = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
_ARITHMETIC: dict[str, Callable[[int | float, int | float], int | float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
_FILTERS = {"eq", "ne", "lt", "le", "gt", "ge", "like", "notlike", "match", "notmatch"}


def binary(name: str, left: Value, right: Value) -> Value:
    """Return what an operator makes of two values; `-and`, `-or` and `-match` on one text are not among these.

    Args:
        name: The operator as written, in lower case.
        left: Left operand.
        right: Right operand.

    Raises:
        PowerShellError: PowerShell cannot apply it to them.
        NotSimulated: It is not known here for them.

    """
    if name in ("+", "-", "*", "/", "%"):
        return arithmetic(name, left, right)
    if name == "-xor":
        return truth(left) != truth(right)
    if name == "-f":
        return format_text(to_text(left), items(right))
    if name == "..":
        first, last = _integer(left), _integer(right)
        return Array(range(first, last + 1) if first <= last else range(first, last - 1, -1))
    if name.endswith(("-join", "split")) and isinstance(right, Array):
        raise NotSimulated(f"The simulated PowerShell knows {name} with a text only.")
    if name == "-join":
        return to_text(right).join(to_text(item) for item in items(left))
    if name in ("-is", "-isnot"):
        if not isinstance(right, TypeName):
            raise NotSimulated(f"The simulated PowerShell knows {name} with a type only.")
        return is_a(left, right.full_name) == (name == "-is")
    word, case = _without_case(name)
    match word:
        case "split":
            return Array(part for item in items(left) for part in _pattern(right, case).split(to_text(item)))
        case "replace":
            replaced: list[Value] = [_replace(to_text(item), right, case) for item in items(left)]
            return Array(replaced) if isinstance(left, Array) else replaced[0]
        case "contains" | "notcontains":
            return any(_equal(item, right, case) for item in items(left)) == (word == "contains")
        case "in" | "notin":
            return any(_equal(item, left, case) for item in items(right)) == (word == "in")
        case _ if word in _FILTERS:
            if isinstance(left, Array):
                return Array(item for item in left if _compare(word, item, right, case))
            return _compare(word, left, right, case)
        case _:
            raise NotSimulated(f"The simulated PowerShell does not know the operator {name}.")


def match_groups(name: str, left: str, right: Value) -> Hashtable | None:
    """Return what `-match` on one text leaves in `$Matches`, or None when it does not match."""
    found = _pattern(right, _without_case(name)[1]).search(left)
    if not found:
        return None
    groups = Hashtable()
    for key, text in {**dict(enumerate([found[0], *found.groups()])), **found.groupdict()}.items():
        if text is not None:
            groups[str(key)] = text
    return groups


def arithmetic(name: str, left: Value, right: Value) -> Value:
    """Return the outcome of `+`, `-`, `*`, `/` or `%`; the left operand decides what is meant.

    Raises:
        PowerShellError: PowerShell cannot apply it to them.
        NotSimulated: It is not known here for them.

    """
    if name == "+" and isinstance(left, Array):
        return Array([*left, *items(right)])
    if name == "+" and isinstance(left, str):
        return left + to_text(right)
    if name == "+" and left is None:
        return right
    if isinstance(left, Array | Hashtable | PSObject | TypeName) or isinstance(right, Array | Hashtable | PSObject):
        raise NotSimulated(f"The simulated PowerShell does not know {type_of(left)} {name} {type_of(right)}.")
    if isinstance(left, str) and name == "*":
        return left * _integer(right)
    first, second = _number(left), _number(right)
    if name in _ARITHMETIC:
        return _ARITHMETIC[name](first, second)
    if second == 0:
        raise PowerShellError(ErrorRecord("Attempted to divide by zero."))
    if name == "%":
        remainder = abs(first) % abs(second)
        return remainder if first >= 0 else -remainder
    quotient = first / second
    return first // second if isinstance(first, int) and isinstance(second, int) and first % second == 0 else quotient


def negated(value: Value) -> Value:
    """Return `-value`."""
    return arithmetic("-", 0, value)


def format_text(template: str, arguments: list[Value]) -> str:
    """Return what `-f` makes of a template with `{0}`, `{0,10}` and `{0:N1}` in it.

    Raises:
        PowerShellError: It names an argument that is not there.
        NotSimulated: It holds a format that is not known here.

    """

    def placed(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        index, width, form = found["index"], found["width"], found["form"]
        if index is None or int(index) >= len(arguments):
            raise PowerShellError(
                ErrorRecord(
                    "Error formatting a string: Index (zero based) must be greater than or equal to zero and less "
                    "than the size of the argument list.."
                )
            )
        text = _formatted(arguments[int(index)], form) if form else to_text(arguments[int(index)])
        return text.ljust(-int(width)) if width and width.startswith("-") else text.rjust(int(width or 0))

    return re.sub(r"\{\{|\}\}|\{(?P<index>\d+)(,(?P<width>-?\d+))?(:(?P<form>[^}]+))?\}|[{}]", placed, template)


def _formatted(value: Value, form: str) -> str:
    found = re.fullmatch(r"([nfdx])(\d*)", form, re.IGNORECASE)
    if not found or isinstance(value, bool) or not isinstance(value, int | float):
        raise NotSimulated(f"The simulated PowerShell does not know the format {form} of {type_of(value)}.")
    kind, digits = found[1].lower(), found[2]
    if kind in "nf":
        return f"{value:{',' if kind == 'n' else ''}.{digits or 2}f}"
    if not isinstance(value, int):
        raise PowerShellError(ErrorRecord("Error formatting a string: Format specifier was invalid.."))
    if kind == "x" and value < 0:
        value += 2**32 if value >= -(2**31) else 2**64
    return f"{value:0{digits or 1}{'d' if kind == 'd' else found[1]}}"


def _without_case(name: str) -> tuple[str, bool]:
    """Return an operator without dash and case mark, and whether it heeds case."""
    word, base = name[1:], name[2:]
    if word[0] in "ci" and (base in _FILTERS or base in ("contains", "notcontains", "in", "notin", "replace", "split")):
        return base, word[0] == "c"
    return word, False


def _compare(word: str, left: Value, right: Value, case: bool) -> bool:
    match word:
        case "eq" | "ne":
            return _equal(left, right, case) == (word == "eq")
        case "like" | "notlike":
            return _like(to_text(left), to_text(right), case) == (word == "like")
        case "match" | "notmatch":
            return bool(_pattern(right, case).search(to_text(left))) == (word == "match")
        case _:
            return _ordered(word, left, right, case)


def _equal(left: Value, right: Value, case: bool) -> bool:
    match left:
        case None:
            return right is None
        case bool():
            return left == truth(right)
        case int() | float():
            try:
                return right is not None and left == _number(right)
            except PowerShellError:
                return False
        case str():
            text = to_text(right)
            return right is not None and (left == text if case else left.lower() == text.lower())
        case EnumValue():
            if isinstance(right, str):
                return left.name.lower() == right.strip().lower()
            return left.number == right if isinstance(right, int) else left == right
        case PSObject() if left.text is not None and isinstance(right, str):
            return left.text.lower() == right.lower()
        case TypeName():
            return left == right
        case _:
            return left is right


def _ordered(word: str, left: Value, right: Value, case: bool) -> bool:
    if isinstance(left, str) and right is not None:
        text = to_text(right)
        return bool(_ORDER[word](left, text) if case else _ORDER[word](left.lower(), text.lower()))
    if isinstance(left, int | float) and not isinstance(left, bool):
        return bool(_ORDER[word](left, _number(right)))
    raise NotSimulated(f"The simulated PowerShell does not know {type_of(left)} -{word} {type_of(right)}.")


def _like(text: str, wildcard: str, case: bool) -> bool:
    pattern = ""
    for found in re.finditer(r"`(.)|(\*)|(\?)|(\[[^\]]+\])|(.)", wildcard, re.DOTALL):
        escaped, star, mark, group, other = found.groups()
        pattern += ".*" if star else "." if mark else group or re.escape(escaped or other)
    return bool(_compiled(pattern, case, re.DOTALL).fullmatch(text))


def _pattern(value: Value, case: bool) -> re.Pattern[str]:
    return _compiled(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", to_text(value)), case)


def _compiled(pattern: str, case: bool, flags: int = 0) -> re.Pattern[str]:
    try:
        return re.compile(pattern, flags if case else flags | re.IGNORECASE)
    except re.error as error:
        raise NotSimulated(f"The simulated PowerShell cannot use the pattern {pattern}: {error}.") from None


def _replace(text: str, right: Value, case: bool) -> str:
    pattern, replacement, *more = [*items(right), ""]
    if len(more) > 1:
        raise PowerShellError(
            ErrorRecord("The -replace operator must be followed by a pattern and, optionally, a replacement.")
        )
    template = to_text(replacement)
    if re.search(r"\$(?!\d|\{\w+\}|\$)", template):
        raise NotSimulated(f"The simulated PowerShell cannot replace by {template}.")

    def expanded(found: re.Match[str]) -> str:
        def group(reference: re.Match[str]) -> str:
            name = reference["number"] or reference["name"]
            if name is None:
                return "$"
            groups = {
                **{str(number): text for number, text in enumerate([found[0], *found.groups()])},
                **found.groupdict(),
            }
            # .NET leaves a reference to a group that the pattern does not have as it is.
            return (groups[name] or "") if name in groups else reference[0]

        return re.sub(r"\$(?:(?P<number>\d+)|\{(?P<name>\w+)\}|\$)", group, template)

    return _pattern(pattern, case).sub(expanded, text)


def _number(value: Value) -> int | float:
    match value:
        case None:
            return 0
        case bool():
            return int(value)
        case int() | float():
            return value
        case EnumValue():
            return value.number
        case str():
            try:
                return to_number(value)
            except ValueError as error:
                raise PowerShellError(
                    ErrorRecord(f'Cannot convert value "{value}" to type "System.Int32". Error: "{error}"')
                ) from None
        case _:
            raise NotSimulated(f"The simulated PowerShell cannot reckon with {type_of(value)}.")


def _integer(value: Value) -> int:
    number = convert(value, "System.Int32")
    assert isinstance(number, int)  # noqa: S101 - what convert promises
    return number
