"""The values of PowerShell: what they are here, what is true of them, and how one becomes another.

`$null` is None; `bool`, `int`, `float` and `str` stand for themselves (an `int` is of any of .NET's integer
types); everything else is one of the classes below. A Python list is never a value: it is a pipeline's stream.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, Union

from simulator.windows import syntax
from simulator.windows.errors import EXCEPTION_TYPES, ErrorRecord, NotSimulated, PowerShellError

Value: TypeAlias = Union[
    bool, int, float, str, "Array", "Hashtable", "PSObject", "EnumValue", "TypeName", syntax.ScriptBlock, None
]
"""Any value of PowerShell."""


class Array(list["Value"]):
    """`object[]`."""


class Hashtable:
    """`hashtable`, with keys that differ by more than their case; it keeps the order of insertion."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, Value]] = {}

    def __contains__(self, key: str) -> bool:
        return key.lower() in self._entries

    def get(self, key: str) -> Value:
        """Return the value of a key, or None."""
        return self._entries.get(key.lower(), (key, None))[1]

    def __setitem__(self, key: str, value: Value) -> None:
        self._entries[key.lower()] = (key, value)

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> Iterator[tuple[str, Value]]:
        """Return the keys as written with their values."""
        return iter(self._entries.values())


@dataclass
class PSObject:
    """An object of .NET or CIM: what of it can be seen here.

    Attributes:
        type_name: Full name of its type.
        properties: Its properties by name as documented.
        text: What it becomes as text; None becomes the type's name.
        methods: Its methods by name as documented; each takes the arguments.
        error: The error that an `ErrorRecord` stands for.

    """

    type_name: str
    properties: dict[str, Value] = field(default_factory=dict[str, Value])
    text: str | None = None
    methods: dict[str, Callable[[list[Value]], Value]] = field(
        default_factory=dict[str, Callable[[list[Value]], Value]]
    )
    error: ErrorRecord | None = None


CUSTOM_OBJECT = "System.Management.Automation.PSCustomObject"
"""The type of objects whose properties the script itself decides."""


@dataclass(frozen=True, slots=True)
class EnumValue:
    """A member of an enumeration: its name, and the number that decides whether it counts as true."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class TypeName:
    """`[name]` as a value; the full name."""

    full_name: str


_TYPES = {
    "string": "System.String",
    "char": "System.Char",
    "bool": "System.Boolean",
    "boolean": "System.Boolean",
    "switch": "System.Management.Automation.SwitchParameter",
    "int": "System.Int32",
    "int32": "System.Int32",
    "uint32": "System.UInt32",
    "long": "System.Int64",
    "int64": "System.Int64",
    "uint64": "System.UInt64",
    "double": "System.Double",
    "array": "System.Object[]",
    "object": "System.Object",
    "hashtable": "System.Collections.Hashtable",
    "scriptblock": "System.Management.Automation.ScriptBlock",
    "pscustomobject": CUSTOM_OBJECT,
    "void": "System.Void",
    "guid": "System.Guid",
    "math": "System.Math",
    "io.path": "System.IO.Path",
}
_FULL_NAMES = {name.lower(): name for name in (*_TYPES.values(), *EXCEPTION_TYPES)}
_INTEGER_RANGES = {
    "System.Int32": (-(2**31), 2**31 - 1),
    "System.UInt32": (0, 2**32 - 1),
    "System.Int64": (-(2**63), 2**63 - 1),
    "System.UInt64": (0, 2**64 - 1),
}


def resolve_type(name: str) -> str:
    """Return the full name of a type as a script writes it: an accelerator, or with or without `System.`.

    Raises:
        NotSimulated: No such type is known here.

    """
    folded = name.lower()
    for candidate in (_TYPES.get(folded, ""), _FULL_NAMES.get(folded, ""), _FULL_NAMES.get(f"system.{folded}", "")):
        if candidate:
            return candidate
    if folded.endswith("[]"):
        return f"{resolve_type(folded[:-2])}[]"
    raise NotSimulated(f"The simulated PowerShell does not know the type [{name}].")


def type_of(value: Value) -> str:
    """Return the full name of a value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "System.Boolean"
        case int():
            return "System.Int32" if -(2**31) <= value < 2**31 else "System.Int64"
        case float():
            return "System.Double"
        case str():
            return "System.String"
        case Array():
            return "System.Object[]"
        case Hashtable():
            return "System.Collections.Hashtable"
        case PSObject():
            return value.type_name
        case EnumValue():
            return "System.Enum"
        case TypeName():
            return "System.RuntimeType"
        case syntax.ScriptBlock():
            return "System.Management.Automation.ScriptBlock"


def is_a(value: Value, type_name: str) -> bool:
    """Return whether a value is of a type, as `-is` says."""
    if value is None:
        return False
    if isinstance(value, PSObject) and value.error:
        return type_name == "System.Management.Automation.ErrorRecord"
    own = type_of(value)
    while own and own != type_name:
        own = EXCEPTION_TYPES.get(own, "")
    return bool(own) or type_name == "System.Object" or (isinstance(value, Array) and type_name == "System.Array")


def items(value: Value) -> list[Value]:
    """Return what a value sends down a pipeline: an array's elements, or the value itself."""
    return list(value) if isinstance(value, Array) else [value]


def collected(stream: list[Value]) -> Value:
    """Return a pipeline's output as a value: nothing, the only one, or an array."""
    if not stream:
        return None
    return stream[0] if len(stream) == 1 else Array(stream)


def truth(value: Value) -> bool:
    """Return whether PowerShell takes a value for true."""
    match value:
        case None:
            return False
        case bool() | int() | float():
            return bool(value)
        case str():
            return value != ""
        case Array():
            return truth(value[0]) if len(value) == 1 else len(value) > 1
        case EnumValue():
            return value.number != 0
        case _:
            return True


def to_text(value: Value) -> str:
    """Return a value as text, as in an expandable string."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool() | int():
            return str(value)
        case float():
            return f"{value:.15g}".replace("e", "E")
        case Array():
            return " ".join(to_text(item) for item in value)
        case Hashtable():
            return "System.Collections.Hashtable"
        case EnumValue():
            return value.name
        case TypeName():
            return value.full_name
        case PSObject():
            if value.text is not None:
                return value.text
            if value.type_name == CUSTOM_OBJECT:
                return "@{" + "; ".join(f"{name}={to_text(item)}" for name, item in value.properties.items()) + "}"
            return value.type_name
        case syntax.ScriptBlock():
            raise NotSimulated("The simulated PowerShell cannot turn a script block into text.")


def conversion_error(value: Value, type_name: str, reason: str) -> PowerShellError:
    """Return the error of a cast that cannot be done."""
    return PowerShellError(
        ErrorRecord(f'Cannot convert value "{to_text(value)}" to type "{type_name}". Error: "{reason}"')
    )


def to_number(text: str) -> int | float:
    """Return the number that a text stands for.

    Raises:
        ValueError: It stands for none.

    """
    text = text.strip()
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(r"0x[0-9a-f]+", text, re.IGNORECASE):
        return int(text, 16)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.IGNORECASE):
        return float(text)
    if not text:
        return 0
    raise ValueError("Input string was not in a correct format.")


def convert(value: Value, type_name: str) -> Value:
    """Return a value as one of a type, as a cast does.

    Args:
        value: The value.
        type_name: Full name of the type, from `resolve_type`.

    Raises:
        PowerShellError: PowerShell cannot convert it.
        NotSimulated: This conversion is not known here.

    """
    if type_name.endswith("[]"):
        return Array(convert(item, type_name[:-2]) for item in items(value) if value is not None)
    match type_name:
        case "System.Object":
            return value
        case "System.Void":
            return Array()
        case "System.String":
            return to_text(value)
        case "System.Boolean" | "System.Management.Automation.SwitchParameter":
            return truth(value)
        case "System.Double" | "System.Int32" | "System.UInt32" | "System.Int64" | "System.UInt64":
            return _convert_number(value, type_name)
        case "System.Char":
            text = to_text(value)
            if len(text) != 1:
                raise conversion_error(value, type_name, "String must be exactly one character long.")
            return text
        case "System.Collections.Hashtable" if isinstance(value, Hashtable):
            return value
        case "System.Management.Automation.ScriptBlock" if isinstance(value, syntax.ScriptBlock):
            return value
        case "System.Management.Automation.PSCustomObject" if isinstance(value, Hashtable):
            return PSObject(CUSTOM_OBJECT, dict(value.items()))
        case _:
            raise NotSimulated(f"The simulated PowerShell cannot convert {type_of(value)} to {type_name}.")


def _convert_number(value: Value, type_name: str) -> int | float:
    match value:
        case None:
            number: int | float = 0
        case bool():
            number = int(value)
        case int() | float():
            number = value
        case EnumValue():
            number = value.number
        case str():
            try:
                number = to_number(value)
            except ValueError as error:
                raise conversion_error(value, type_name, str(error)) from None
        case _:
            raise conversion_error(value, type_name, "Invalid cast.")
    if type_name == "System.Double":
        return float(number)
    number = round(number)
    low, high = _INTEGER_RANGES[type_name]
    if not low <= number <= high:
        short = type_name.removeprefix("System.")
        raise conversion_error(value, type_name, f"Value was either too large or too small for an {short}.")
    return number


def error_value(record: ErrorRecord) -> PSObject:
    """Return what `$_` is in a `catch` block."""
    exception = PSObject(record.exception, {"Message": record.message}, text=f"{record.exception}: {record.message}")
    return PSObject(
        "System.Management.Automation.ErrorRecord", {"Exception": exception}, text=record.message, error=record
    )
