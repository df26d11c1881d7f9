"""Validation errors in words that name the field and the remedy."""

import difflib
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from models.base import graph_name

Location = tuple[int | str, ...]

MAX_MESSAGE = 1000
"""Longest message of an error, characters."""
MAX_PROBLEMS = 20
"""How many problems of one input are told."""
_MAX_SHOWN = 80
"""Longest piece of an input that an error repeats, characters."""
_NOT_IN_A_LINE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def bounded(message: str) -> str:
    """Return the message in one line of at most `MAX_MESSAGE` characters, all of which can be printed."""
    line = _NOT_IN_A_LINE.sub(" ", message).strip()
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def problems(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Location, str]]:
    """Yield each wrong field of `model` with what is wrong and what to write instead, the first `MAX_PROBLEMS`.

    Yields:
        The field's path, such as `("domainJoinConfigurations", 0, "regionName")`, and the message.

    """
    return itertools.islice(_problems(error, model), MAX_PROBLEMS)


def _problems(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Location, str]]:
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
            if detail["type"] != "extra_forbidden":
                location = tuple(
                    graph_name(part) if isinstance(part, str) and "_" in part else part for part in location
                )
            yield location, bounded(_message(detail, model))


def field_name(location: Location) -> str:
    """Return a field's path as people write it, such as `domainJoinConfigurations[0].regionName`."""
    name = ""
    for part in location:
        text = f"[{part}]" if isinstance(part, int) else _short(bounded(part))
        name += f".{text}" if name and isinstance(part, str) else text
    return name


def one_line(error: ValidationError, model: type[BaseModel]) -> str:
    """Return what is wrong with a `model`, in one line."""
    return bounded(
        "; ".join(f"{field_name(location) or 'input'}: {message}" for location, message in problems(error, model))
    )


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    around, written = _model_at(model, detail["loc"][:-1]), detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return f"no such field; {did_you_mean(detail['loc'][-1], _fields(around))}"
        case "missing":
            return "missing; add it"
        case "literal_error" | "enum":
            expected = [choice.strip("'") for choice in str(context["expected"]).replace(" or ", ", ").split(", ")]
            return f"{_shown(written, around)} is not supported; {did_you_mean(written, expected)}"
        case "string_pattern_mismatch":
            return f"{_shown(written, around)} does not match {context['pattern']}; write it so that it does"
        case "value_error":
            return str(context["error"])
        case _:
            return detail["msg"][0].lower() + detail["msg"][1:]


def _shown(written: object, around: type[BaseModel]) -> str:
    """Return what was written, unless it could be a secret, or something that is long to write out."""
    if not isinstance(written, str) or around.model_config.get("hide_input_in_errors"):
        return "what stands there"
    return repr(_short(written))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def did_you_mean(word: object, known: Sequence[str], otherwise: str = "") -> str:
    """Return a hint at what may have been meant by a word that is not known.

    Args:
        word: What was written.
        known: What could have been written.
        otherwise: The hint where nothing is close; empty lists what is known.

    """
    close = difflib.get_close_matches(word, known, n=1) if isinstance(word, str) else []
    return f"did you mean {close[0]}?" if close else otherwise or f"use one of: {', '.join(known)}"


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel]:
    """Return the model that stands at `location` below `model`."""
    for part in location:
        if isinstance(part, int):
            continue
        annotation: Any = next(
            (field.annotation for name, field in model.model_fields.items() if part in (name, field.alias)), None
        )
        candidates = [annotation, *get_args(annotation)]
        model = next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return model


def _fields(model: type[BaseModel]) -> list[str]:
    """Return the JSON names of a model's fields."""
    return [field.alias or name for name, field in model.model_fields.items()]
