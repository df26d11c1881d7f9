"""Validation errors in words that name the field and the remedy."""

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from models.base import graph_name

Location = tuple[int | str, ...]


def problems(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Location, str]]:
    """Yield each wrong field of `model` with what is wrong and what to write instead.

    Yields:
        The field's path, such as `("domainJoinConfigurations", 0, "regionName")`, and the message.

    """
    details = error.errors(include_url=False, include_context=True)
    locations = [detail["loc"] for detail in details]
    for detail in details:
        location = detail["loc"]
        # A list whose only item is wrong is reported as too short as well.
        is_consequence = detail["type"] == "too_short" and any(
            len(other) > len(location) and other[: len(location)] == location for other in locations
        )
        if not is_consequence:
            # Where a default is wrong, pydantic names the field as the code does.
            named = tuple(graph_name(part) if isinstance(part, str) and "_" in part else part for part in location)
            yield named, _message(detail, model)


def field_name(location: Location) -> str:
    """Return a field's path as people write it, such as `domainJoinConfigurations[0].regionName`."""
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def one_line(error: ValidationError, model: type[BaseModel]) -> str:
    """Return all that is wrong with a `model`, in one line."""
    return "; ".join(f"{field_name(location) or 'input'}: {message}" for location, message in problems(error, model))


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            known = _fields_at(model, detail["loc"][:-1])
            return f"no such field; {_did_you_mean(str(detail['loc'][-1]), known)}"
        case "missing":
            return "missing; add it"
        case "literal_error" | "enum":
            expected = [choice.strip("'") for choice in str(context["expected"]).replace(" or ", ", ").split(", ")]
            return f"{detail['input']!r} is not supported; {_did_you_mean(str(detail['input']), expected)}"
        case "string_pattern_mismatch":
            return f"{detail['input']!r} does not match {context['pattern']}; write it so that it does"
        case "value_error":
            return str(context["error"])
        case _:
            return detail["msg"][0].lower() + detail["msg"][1:]


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"use one of: {', '.join(known)}"


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    """Return the JSON names of the fields of the model that stands at `location` below `model`."""
    for part in location:
        if isinstance(part, int):
            continue
        annotation: Any = next(
            (field.annotation for name, field in model.model_fields.items() if part in (name, field.alias)), None
        )
        candidates = [annotation, *get_args(annotation)]
        model = next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return [field.alias or name for name, field in model.model_fields.items()]
