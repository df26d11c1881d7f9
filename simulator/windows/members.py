"""The .NET members that scripts may use: properties, methods and static methods of values and types."""

import math
import re
from collections.abc import Callable

from simulator.windows.errors import EXCEPTION_TYPES, ErrorRecord, NotSimulated, PowerShellError
from simulator.windows.operators import format_text
from simulator.windows.values import (
    CUSTOM_OBJECT,
    Array,
    Hashtable,
    PSObject,
    TypeName,
    Value,
    convert,
    items,
    to_text,
    type_of,
)


def get_property(value: Value, name: str, *, strict: bool) -> Value:
    """Return a property of a value; an array without it gives that of each of its elements.

    Args:
        value: The object.
        name: The property's name, in any case.
        strict: Whether strict mode is on, in which what is missing is an error instead of `$null`.

    Raises:
        PowerShellError: There is no such property.
        NotSimulated: There may be such a property in .NET, but none is known here.

    """
    folded = name.lower()
    found: Value
    match value:
        case Hashtable():
            if name in value:
                return value.get(name)
            if folded in ("count", "keys", "values"):
                parts: dict[str, Value] = {
                    "count": len(value),
                    "keys": Array(key for key, _ in value.items()),
                    "values": Array(item for _, item in value.items()),
                }
                return parts[folded]
        case PSObject():
            for own, found in value.properties.items():
                if own.lower() == folded:
                    return found
            if value.type_name != CUSTOM_OBJECT:
                raise NotSimulated(f"The simulated Windows does not know the property {name} of {value.type_name}.")
        case str() if folded == "length":
            return len(value)
        case Array():
            if folded in ("count", "length"):
                return len(value)
            return _member_enumeration(value, name, strict=strict)
        case TypeName() if folded in ("fullname", "name"):
            return value.full_name if folded == "fullname" else value.full_name.rsplit(".", 1)[-1]
        case None:
            pass
        case _:
            if folded not in ("count", "length"):
                raise NotSimulated(f"The simulated Windows does not know the property {name} of {type_of(value)}.")
    if strict:
        raise PowerShellError(
            ErrorRecord(f"The property '{name}' cannot be found on this object. Verify that the property exists.")
        )
    if folded in ("count", "length") and not isinstance(value, Hashtable):
        return int(value is not None)
    return None


def _member_enumeration(array: Array, name: str, *, strict: bool) -> Value:
    gathered = [
        found for item in array for found in items(get_property(item, name, strict=strict)) if found is not None
    ]
    if len(gathered) == 1:
        return gathered[0]
    return Array(gathered) if gathered else None


def set_property(value: Value, name: str, new: Value) -> None:
    """Set an entry of a hashtable or a property of a custom object.

    Raises:
        PowerShellError: The custom object has no such property.
        NotSimulated: Properties of this value cannot be set here.

    """
    if isinstance(value, Hashtable):
        value[name] = new
        return
    if not isinstance(value, PSObject) or value.type_name != CUSTOM_OBJECT:
        raise NotSimulated(f"The simulated PowerShell cannot set the property {name} of {type_of(value)}.")
    for own in value.properties:
        if own.lower() == name.lower():
            value.properties[own] = new
            return
    raise PowerShellError(
        ErrorRecord(
            f"The property '{name}' cannot be found on this object. Verify that the property exists and can be set."
        )
    )


def call_method(value: Value, name: str, arguments: list[Value]) -> Value:
    """Return what a method of a value returns; an empty array where .NET says void.

    Raises:
        PowerShellError: The method fails.
        NotSimulated: There may be such a method in .NET, but none is known here.

    """
    folded = name.lower()
    match value:
        case None:
            raise PowerShellError(ErrorRecord("You cannot call a method on a null-valued expression."))
        case PSObject() if method := {own.lower(): method for own, method in value.methods.items()}.get(folded):
            return method(arguments)
        case str() if method := _STRING_METHODS.get((folded, len(arguments))):
            return method(value, arguments)
        case Hashtable() if folded in ("containskey", "contains") and len(arguments) == 1:
            return to_text(arguments[0]) in value
        case Hashtable() if folded == "add" and len(arguments) == 2:
            value[to_text(arguments[0])] = arguments[1]
            return Array()
        case int() | float() if folded == "tostring" and len(arguments) == 1 and not isinstance(value, bool):
            return format_text(f"{{0:{to_text(arguments[0])}}}", [value])
        case _ if folded == "tostring" and not arguments:
            return to_text(value)
        case _ if folded == "gettype" and not arguments:
            return TypeName(type_of(value))
        case _:
            raise NotSimulated(
                f"The simulated Windows does not know the method {name} of {type_of(value)} "
                f"with {len(arguments)} arguments."
            )


def call_static(type_name: str, name: str, arguments: list[Value]) -> Value:
    """Return what a static method of a type returns.

    Raises:
        NotSimulated: No such method is known here.

    """
    if name.lower() == "new" and type_name in EXCEPTION_TYPES and len(arguments) == 1:
        message = to_text(arguments[0])
        return PSObject(type_name, {"Message": message}, text=f"{type_name}: {message}")
    method = _STATIC_METHODS.get((type_name, name.lower()))
    if not method:
        raise NotSimulated(f"The simulated Windows does not know [{type_name}]::{name}.")
    return method(arguments)


def _text_at(arguments: list[Value], index: int) -> str:
    return to_text(arguments[index])


def _integer_at(arguments: list[Value], index: int) -> int:
    number = convert(arguments[index], "System.Int32")
    assert isinstance(number, int)  # noqa: S101 - what convert promises
    return number


def _characters(arguments: list[Value]) -> str | None:
    return "".join(to_text(item) for argument in arguments for item in items(argument)) or None


def _substring(value: str, arguments: list[Value]) -> Value:
    start = _integer_at(arguments, 0)
    length = _integer_at(arguments, 1) if len(arguments) == 2 else len(value) - start
    if start < 0 or length < 0 or start + length > len(value):
        raise PowerShellError(
            ErrorRecord('Exception calling "Substring": "Index and length must refer to a location within the string."')
        )
    return value[start : start + length]


def _split(value: str, arguments: list[Value]) -> Value:
    # .NET Framework splits at each character of a text that it is given.
    return Array(re.split(f"[{re.escape(_characters(arguments) or ' ')}]", value))


_STRING_METHODS: dict[tuple[str, int], Callable[[str, list[Value]], Value]] = {
    ("trim", 0): lambda value, _: value.strip(),
    ("trim", 1): lambda value, arguments: value.strip(_characters(arguments)),
    ("trimstart", 1): lambda value, arguments: value.lstrip(_characters(arguments)),
    ("trimend", 0): lambda value, _: value.rstrip(),
    ("trimend", 1): lambda value, arguments: value.rstrip(_characters(arguments)),
    ("toupper", 0): lambda value, _: value.upper(),
    ("tolower", 0): lambda value, _: value.lower(),
    ("startswith", 1): lambda value, arguments: value.startswith(_text_at(arguments, 0)),
    ("endswith", 1): lambda value, arguments: value.endswith(_text_at(arguments, 0)),
    ("contains", 1): lambda value, arguments: _text_at(arguments, 0) in value,
    ("indexof", 1): lambda value, arguments: value.find(_text_at(arguments, 0)),
    ("replace", 2): lambda value, arguments: value.replace(_text_at(arguments, 0), _text_at(arguments, 1)),
    ("split", 1): _split,
    ("substring", 1): _substring,
    ("substring", 2): _substring,
}


def _round(arguments: list[Value]) -> Value:
    number = convert(arguments[0], "System.Double")
    assert isinstance(number, float)  # noqa: S101 - what convert promises
    return float(round(number, _integer_at(arguments, 1) if len(arguments) > 1 else 0))


def _floor(arguments: list[Value]) -> Value:
    number = convert(arguments[0], "System.Double")
    assert isinstance(number, float)  # noqa: S101 - what convert promises
    return float(math.floor(number))


def _path_combine(arguments: list[Value]) -> Value:
    parts = [to_text(argument) for argument in arguments]
    return "\\".join(part.strip("\\") if index else part.rstrip("\\") for index, part in enumerate(parts))


_STATIC_METHODS: dict[tuple[str, str], Callable[[list[Value]], Value]] = {
    ("System.String", "isnullorempty"): lambda arguments: to_text(arguments[0]) == "",
    ("System.String", "isnullorwhitespace"): lambda arguments: to_text(arguments[0]).strip() == "",
    ("System.Math", "round"): _round,
    ("System.Math", "floor"): _floor,
    ("System.IO.Path", "combine"): _path_combine,
}
