"""`$filter` expressions of OData 4: read them, and decide whether an object matches.

Source: https://learn.microsoft.com/graph/filter-query-parameter
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, cast

Literal = str | float | bool | datetime | None
"""A literal of the expression; a GUID is a string."""

FUNCTIONS = ("startswith", "endswith", "contains")
"""The functions understood, in lower case; Graph does not mind the case."""
COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")
"""The comparison operators."""
COUNT = "$count"
"""Last part of a path that counts a collection."""


@dataclass(frozen=True)
class Condition:
    """`path operator value`, or `function(path,value)`, or `path in (values)`.

    Attributes:
        path: Property names from the object down; empty for the element of a collection itself.
        operator: One of `COMPARISONS`, `FUNCTIONS` or `in`.
        value: A literal; a tuple of them for `in`.

    """

    path: tuple[str, ...]
    operator: str
    value: Literal | tuple[Literal, ...]


@dataclass(frozen=True)
class AnyElement:
    """`path/any(x:condition)`; the paths in `condition` start at the element. None is `path/any()`."""

    path: tuple[str, ...]
    condition: "Expression | None"


@dataclass(frozen=True)
class Not:
    """`not expression`."""

    operand: "Expression"


@dataclass(frozen=True)
class And:
    """`left and right`."""

    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Or:
    """`left or right`."""

    left: "Expression"
    right: "Expression"


Expression = Condition | AnyElement | Not | And | Or


class FilterSyntaxError(ValueError):
    """The text is no `$filter` expression; the message says where."""


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": str.__contains__,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def parse_filter(text: str) -> Expression:
    """Read a `$filter` expression.

    Raises:
        FilterSyntaxError: It is not one.

    """
    return _Parser(text).whole()


def conditions(expression: Expression) -> Iterator[Expression]:
    """Yield an expression and all in it, without what stands in `any(...)`."""
    yield expression
    match expression:
        case Not(operand):
            yield from conditions(operand)
        case And(left, right) | Or(left, right):
            yield from conditions(left)
            yield from conditions(right)
        case _:
            pass


def matches(expression: Expression, item: Any) -> bool:
    """Return whether a JSON value satisfies an expression. Text compares without regard to case."""
    match expression:
        case And(left, right):
            return matches(left, item) and matches(right, item)
        case Or(left, right):
            return matches(left, item) or matches(right, item)
        case Not(operand):
            return not matches(operand, item)
        case AnyElement(path, condition):
            elements: list[Any] = _value(item, path) or []
            return any(condition is None or matches(condition, element) for element in elements)
        case Condition(path, "in", values):
            return any(_compare(_value(item, path), "eq", value) for value in cast(tuple[Literal, ...], values))
        case Condition(path, comparison, value):
            return _compare(_value(item, path), comparison, cast(Literal, value))


def _value(item: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if name == COUNT:
            return len(item or ())
        item = cast(dict[str, Any], item).get(name) if isinstance(item, dict) else None
    return item


def _compare(actual: Any, comparison: str, expected: Literal) -> bool:
    if isinstance(expected, datetime):
        actual = datetime.fromisoformat(actual) if isinstance(actual, str) else None
    if isinstance(expected, str):
        actual, expected = (actual.lower() if isinstance(actual, str) else None), expected.lower()
    if comparison == "eq":
        return actual == expected
    if comparison == "ne":
        return actual != expected
    kinds = (int, float) if isinstance(expected, int | float) else type(expected)
    if expected is None or not isinstance(actual, kinds):
        return False
    return _TESTS[comparison](actual, expected)


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^']|'')*')
      | (?P<guid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})
      | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<word>[a-z_][\w.]*(?:/[$\w.]+)*)
      | (?P<mark>[(),:])
    )""",
    re.IGNORECASE | re.VERBOSE,
)


class _Parser:
    """Recursive descent over the grammar `or > and > not > (…) | any | function | comparison`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._kind = self._token = ""
        self._variable: str | None = None
        self._advance()

    def whole(self) -> Expression:
        expression = self._or()
        if self._kind != "end":
            self._fail()
        return expression

    def _fail(self) -> NoReturn:
        raise FilterSyntaxError(f"Syntax error at position {self._position} in '{self._text}'.")

    def _advance(self) -> str:
        """Go to the next token and return the present one."""
        taken = self._token
        found = _TOKEN.match(self._text, self._position)
        if found and found.lastgroup:
            self._position = found.end()
            self._kind, self._token = found.lastgroup, found[found.lastgroup]
        elif self._text[self._position :].strip():
            self._fail()
        else:
            self._kind, self._token = "end", ""
        return taken

    def _accept(self, *tokens: str) -> bool:
        """Go past the present token if it is one of these."""
        if self._kind in ("word", "mark") and self._token.lower() in tokens:
            self._advance()
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            self._fail()

    def _or(self) -> Expression:
        expression = self._and()
        while self._accept("or"):
            expression = Or(expression, self._and())
        return expression

    def _and(self) -> Expression:
        expression = self._operand()
        while self._accept("and"):
            expression = And(expression, self._operand())
        return expression

    def _operand(self) -> Expression:
        if self._accept("not"):
            return Not(self._operand())
        if self._accept("("):
            expression = self._or()
            self._expect(")")
            return expression
        if self._kind != "word":
            self._fail()
        word = self._advance()
        if word.lower().endswith("/any") and self._accept("("):
            return self._any(self._path(word)[:-1])
        if self._accept("("):
            return self._function(word.lower())
        path = self._path(word)
        comparison = self._advance().lower()
        if comparison == "in":
            return Condition(path, comparison, self._list())
        if comparison not in COMPARISONS:
            self._fail()
        return Condition(path, comparison, self._literal())

    def _any(self, path: tuple[str, ...]) -> Expression:
        if self._accept(")"):
            return AnyElement(path, None)
        if self._kind != "word":
            self._fail()
        outer, self._variable = self._variable, self._advance()
        self._expect(":")
        condition = self._or()
        self._expect(")")
        self._variable = outer
        return AnyElement(path, condition)

    def _function(self, name: str) -> Expression:
        if name not in FUNCTIONS or self._kind != "word":
            self._fail()
        path = self._path(self._advance())
        self._expect(",")
        value = self._literal()
        if not isinstance(value, str):
            self._fail()
        self._expect(")")
        return Condition(path, name, value)

    def _list(self) -> tuple[Literal, ...]:
        self._expect("(")
        values = [self._literal()]
        while self._accept(","):
            values.append(self._literal())
        self._expect(")")
        return tuple(values)

    def _path(self, word: str) -> tuple[str, ...]:
        names = tuple(word.split("/"))
        return names[1:] if names[0] == self._variable else names

    def _literal(self) -> Literal:
        kind, token = self._kind, self._advance()
        match kind, token.lower():
            case "string", _:
                return token[1:-1].replace("''", "'")
            case "guid", _:
                return token
            case "datetime", _:
                return datetime.fromisoformat(token)
            case "number", _:
                return float(token)
            case "word", "true" | "false" as boolean:
                return boolean == "true"
            case "word", "null":
                return None
            case _:
                return self._fail()
