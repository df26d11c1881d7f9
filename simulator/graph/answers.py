"""Objects and pages of them, as Microsoft Graph answers: selected, filtered, sorted, counted.

Source: https://learn.microsoft.com/graph/query-parameters
"""

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from simulator.graph import entities, odata
from simulator.graph.call import Call
from simulator.graph.entities import EntityType
from simulator.graph.errors import bad_request, unsupported_query
from simulator.graph.odata import COUNT, AnyElement, Condition, Expression, FilterSyntaxError, Not, conditions
from simulator.objects import Objects

Json = dict[str, Any]
Matcher = Callable[[Expression, Json], bool]

DIRECTORY_PAGE = (100, 999)
"""Default and largest `$top` of the directory's collections."""
INTUNE_PAGE = (1000, 1000)
"""Default and largest `$top` of Intune's collections."""

_BY_ODATA_TYPE = {
    type.odata_type: type for type in (entities.USER, entities.GROUP, entities.DEVICE, entities.SERVICE_PRINCIPAL)
}


def typed(type: EntityType, item: Json) -> Json:
    """Return an object that says what it is, for a collection of several types."""
    return {"@odata.type": type.odata_type, **item}


def cast_type(segment: str) -> EntityType | None:
    """Return the directory type that a path segment such as `graph.user` casts to, or None."""
    return _BY_ODATA_TYPE.get(f"#microsoft.{segment}")


def no_content() -> web.Response:
    """Return an empty 204."""
    return web.Response(status=204)


def entity(call: Call, type: EntityType, item: Json) -> web.Response:
    """Return one object."""
    return web.json_response(
        {"@odata.context": call.context(f"{_target(call, type)}/$entity"), **_selected(call, type, item)}
    )


def count(call: Call, type: EntityType, items: Iterable[Json]) -> web.Response:
    """Return the number of directory objects that match, as plain text.

    Raises:
        GraphError: 400, `ConsistencyLevel` is missing, or the filter does not do.

    """
    if not call.is_eventual:
        raise bad_request("$count is not currently supported.")
    # Counting is an advanced query by itself.
    expression = _filter(call)
    if expression is not None:
        _check_filter(type, expression, is_advanced=True)
        items = (item for item in items if odata.matches(expression, item))
    return web.Response(text=str(sum(1 for _ in items)), content_type="text/plain")


def candidates(call: Call, objects: Objects) -> Iterable[Json]:
    """Return the objects that a request's filter may match: those that an index finds, or all."""
    match _filter(call):
        case Condition((name,), "eq", str(value)) if objects.is_indexed(name):
            return objects.by(name, value)
        case _:
            return objects.values()


def directory_page(call: Call, type: EntityType, items: Iterable[Json], *, target: str | None = None) -> web.Response:
    """Return a page of directory objects, by the directory's rules of what can be queried.

    Args:
        call: The request.
        type: What the collection holds.
        items: All of it.
        target: The collection as `@odata.context` names it, where it is not the type's own.

    Raises:
        GraphError: 400, a query option does not do.

    """
    expression, order = _filter(call), call.query.get("$orderby")
    if expression is not None:
        _check_filter(type, expression, is_advanced=call.is_advanced)
    if order and (order.split()[0] not in type.filters or (expression is not None and not call.is_advanced)):
        raise unsupported_query("Sorting not supported for current query.")
    shows_count = call.wants_count and call.is_eventual
    return page(call, type, items, limits=DIRECTORY_PAGE, matches=odata.matches, shows_count=shows_count, target=target)


def page(
    call: Call,
    type: EntityType,
    items: Iterable[Json],
    *,
    limits: tuple[int, int],
    matches: Matcher,
    shows_count: bool,
    target: str | None = None,
) -> web.Response:
    """Return a page of a collection, with `@odata.nextLink` when there is more.

    Args:
        call: The request.
        type: What the collection holds.
        items: All of it.
        limits: Default and largest `$top`.
        matches: Whether an object satisfies a `$filter`.
        shows_count: Whether to tell how many objects match.
        target: The collection as `@odata.context` names it, where it is not the type's own.

    Raises:
        GraphError: 400, a query option does not do.

    """
    expression = _filter(call)
    property_name, _, direction = call.query.get("$orderby", "id").partition(" ")
    is_descending = direction.strip().lower() == "desc"

    def position(item: Json) -> list[str]:
        return [str(item.get(property_name) or "").lower(), item["id"]]

    found = [item for item in items if expression is None or matches(expression, item)]
    found.sort(key=position, reverse=is_descending)
    rest = found
    if token := call.query.get("$skiptoken"):
        last = _read_token(token)
        # By position and not by number, so that what is deleted meanwhile makes no gap.
        rest = [item for item in found if (position(item) < last if is_descending else position(item) > last)]
    top = _top(call, limits)
    body: Json = {"@odata.context": call.context(target or _target(call, type))}
    if shows_count:
        body["@odata.count"] = len(found)
    if len(rest) > top:
        options = {**call.query, "$skiptoken": _token(position(rest[top - 1]))}
        body["@odata.nextLink"] = f"{quote(call.url, safe=':/')}?{urlencode(options, quote_via=quote, safe='$')}"
    body["value"] = [_selected(call, type, item) for item in rest[:top]]
    return web.json_response(body)


def _target(call: Call, type: EntityType) -> str:
    return f"{type.entity_set}({','.join(call.select)})" if call.select else type.entity_set


def _selected(call: Call, type: EntityType, item: Json) -> Json:
    for name in call.select:
        if name not in type.properties:
            raise bad_request(
                "Parsing OData Select and Expand failed: Could not find a property named "
                f"'{name}' on type 'microsoft.graph.{type.name}'."
            )
    own = _BY_ODATA_TYPE.get(item.get("@odata.type", ""), type)
    names = set(call.select) or own.defaults or own.properties
    tag = {"@odata.type": item["@odata.type"]} if "@odata.type" in item else {}
    return tag | {name: item.get(name) for name in sorted(names & own.properties)}


def _filter(call: Call) -> Expression | None:
    text = call.query.get("$filter")
    try:
        return odata.parse_filter(text) if text else None
    except FilterSyntaxError as error:
        raise bad_request(f"Invalid filter clause: {error}") from error


def _check_filter(type: EntityType, expression: Expression, *, is_advanced: bool) -> None:
    for part in conditions(expression):
        if isinstance(part, Not):
            _require_advanced("not", is_advanced=is_advanced)
        if isinstance(part, Condition | AnyElement):
            _check_condition(type, part, is_advanced=is_advanced)


def _check_condition(type: EntityType, part: Condition | AnyElement, *, is_advanced: bool) -> None:
    name = part.path[0]
    if name not in type.properties:
        raise bad_request(
            f"Invalid filter clause: Could not find a property named '{name}' on type 'microsoft.graph.{type.name}'."
        )
    if isinstance(part, AnyElement):
        inner = [] if part.condition is None else list(conditions(part.condition))
        operators = {each.operator for each in inner if isinstance(each, Condition)}
    else:
        operators = {part.operator}
    is_count = part.path[-1] == COUNT
    supported = type.filters.get(name, frozenset[str]()) | ({"ne"} if is_count else set[str]())
    if not operators <= supported or (name in type.advanced and not is_advanced):
        raise unsupported_query(
            f"Unsupported or invalid query filter clause specified for property '{name}' of resource "
            f"'{type.name[0].upper()}{type.name[1:]}'."
        )
    for operator in operators & {"ne", "endswith"}:
        _require_advanced(operator, is_advanced=is_advanced)
    if is_count:
        _require_advanced(COUNT, is_advanced=is_advanced)


def _require_advanced(operator: str, *, is_advanced: bool) -> None:
    if not is_advanced:
        raise unsupported_query(
            f"Operator '{operator}' is not supported because the 'ConsistencyLevel:eventual' header or '$count=true' "
            "is missing. Refer to https://aka.ms/graph-docs/advanced-queries for more information"
        )


def _top(call: Call, limits: tuple[int, int]) -> int:
    default, largest = limits
    text = call.query.get("$top", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= largest:
        raise unsupported_query(f"Invalid page size specified: '{text}'. Must be between 1 and {largest} inclusive.")
    return int(text)


def _token(position: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _read_token(token: str) -> list[str]:
    try:
        return json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise bad_request("Skip token is invalid or expired.") from error
