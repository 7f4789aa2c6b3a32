"""The OpenAPI description of every route, made of the schemas that requests are checked with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backend import __version__
from backend.web import schemas

REF = "#/components/schemas/{model}"
OBJECT: dict[str, Any] = {"type": "object"}
ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
RESULTS: dict[str, Any] = {
    "type": "object",
    "properties": {"results": {"type": "array", "items": OBJECT}},
    "required": ["results"],
}
JSON = "application/json"
# Of any route; of one that takes a body; of one that takes a query.
ALWAYS = {503: "What is stored cannot be read or written."}
OF_A_BODY = {400: "The body is not what the route needs.", 413: "The body is too large."}
OF_A_QUERY = {400: "The query is not what the route needs."}
UNAUTHORIZED = {"description": "BASIC_AUTH_USER and BASIC_AUTH_PASS are needed."}


@dataclass(frozen=True)
class Operation:
    """One method of a path: what it takes, and the JSON of its answer (None: text)."""

    path: str
    method: str
    summary: str
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    status: int = 200
    answer: dict[str, Any] | None = None
    refusals: tuple[tuple[int, str], ...] = ()


OPERATIONS = (
    Operation("/health", "get", "Whether the web process is up.", answer=OBJECT),
    Operation("/", "get", "The same as /health.", answer=OBJECT),
    Operation(
        "/setup", "post", "Label Studio connects a project.", body=schemas.Setup, answer=OBJECT
    ),
    Operation(
        "/predict",
        "post",
        "One prediction for each task.",
        body=schemas.Predict,
        answer=RESULTS,
    ),
    Operation(
        "/webhook",
        "post",
        "Something happened in a project.",
        body=schemas.Webhook,
        status=201,
        answer=OBJECT,
    ),
    Operation(
        "/train",
        "post",
        "Begin a round and a fine-tuning.",
        body=schemas.Train,
        status=201,
        answer=OBJECT,
    ),
    Operation("/versions", "get", "The versions that the queues follow.", answer=OBJECT),
    Operation("/versions", "post", "The versions that the queues follow.", answer=OBJECT),
    Operation(
        "/is_training",
        "get",
        "Whether anything is computed for a project, or for any.",
        query=schemas.Asked,
        answer=OBJECT,
    ),
    Operation(
        "/job_status",
        "post",
        "What became of a request for training.",
        body=schemas.Job,
        answer=OBJECT,
        refusals=((410, "There is no such job."),),
    ),
    Operation("/status", "get", "The state of every project.", answer=OBJECT),
    Operation("/metrics", "get", "The same in numbers for Prometheus."),
    Operation("/openapi.json", "get", "This description.", answer=OBJECT),
)


def description() -> dict[str, Any]:
    """The description as OpenAPI 3.1 has it."""
    bodies = [(operation.body, "validation") for operation in OPERATIONS if operation.body]
    _, models = models_json_schema(bodies, ref_template=REF)  # type: ignore[arg-type]
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Active learning for Label Studio", "version": __version__},
        "paths": paths,
        "components": {"schemas": models.get("$defs", {})},
    }


def _described(operation: Operation) -> dict[str, Any]:
    refusals = ALWAYS | dict(operation.refusals)
    found: dict[str, Any] = {"summary": operation.summary}
    if operation.body is not None:
        refusals |= OF_A_BODY
        content = {JSON: {"schema": {"$ref": REF.format(model=operation.body.__name__)}}}
        found["requestBody"] = {"required": True, "content": content}
    if operation.query is not None:
        refusals |= OF_A_QUERY
        found["parameters"] = _parameters(operation.query)
    found["responses"] = {
        str(operation.status): _response("Done.", operation.answer),
        **{str(status): _response(words, ERROR) for status, words in sorted(refusals.items())},
        "401": UNAUTHORIZED,
    }
    return found


def _parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    schema = query.model_json_schema()
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": value}
        for name, value in schema["properties"].items()
    ]


def _response(words: str, answer: dict[str, Any] | None) -> dict[str, Any]:
    content = {JSON: {"schema": answer}} if answer else {"text/plain": {"schema": {}}}
    return {"description": words, "content": content}
