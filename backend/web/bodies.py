"""What a request says, checked against its schema: bodies and queries.

How large a body is, how deep and of how many items, is judged before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from flask import Request
from pydantic import BaseModel, ValidationError

from backend.errors import RequestError

Schema = TypeVar("Schema", bound=BaseModel)

MIB = 2**20
MAX_BYTES = 8 * MIB
# All tasks that somebody selected for predictions, with images in data: URIs.
MAX_PREDICT_BYTES = 64 * MIB
# An item of JSON takes up to 300 bytes of memory, however few it has in the body. Nesting is
# limited by the parser itself, to 200.
MAX_ITEMS = 200_000
# What stands before each item but the first of a list or an object.
SEPARATORS = (b"[", b"{", b",")
SHOWN_PROBLEMS = 3


def body_of(request: Request, schema: type[Schema], *, max_bytes: int = MAX_BYTES) -> Schema:
    """The body as its schema has it.

    RequestError: it is no JSON, or not what the schema asks for. RequestEntityTooLarge: more bytes.
    """
    request.max_content_length = max_bytes
    if not request.is_json:
        raise RequestError(f"found a body of type {request.mimetype!r}; needed is application/json")
    body = request.get_data(cache=False)
    items = sum(body.count(separator) for separator in SEPARATORS)
    if items > MAX_ITEMS:
        raise RequestError(f"found {items} items in the body; needed is at most {MAX_ITEMS}")
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise _named(error, "body", schema) from error


def query_of(request: Request, schema: type[Schema]) -> Schema:
    """The query as its schema has it. RequestError: not what the schema asks for."""
    return valid(request.args.to_dict(), "query", schema)


def valid(values: Mapping[str, Any], where: str, schema: type[Schema]) -> Schema:
    """Values of a request as their schema has them. RequestError: not what the schema asks for."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise _named(error, where, schema) from error


def _named(error: ValidationError, where: str, schema: type[BaseModel]) -> RequestError:
    """The error in a sentence; it quotes nothing, for a body may carry a token."""
    problems = error.errors(include_input=False, include_context=False, include_url=False)
    shown = "; ".join(
        ": ".join(filter(None, [".".join(map(str, problem["loc"])), problem["msg"]]))
        for problem in problems[:SHOWN_PROBLEMS]
    )
    needed = " ".join((schema.__doc__ or "").split()).rstrip(".")
    return RequestError(f"found a {where} in error ({shown}); needed is {needed}")
