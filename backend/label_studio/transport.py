"""Requests to one Label Studio, and every way they can fail, under a name of ours.

Retries, authorization and the refresh of tokens are the SDK's. Its model objects are not used: they
take whatever is answered, and ten times as long. Here an answer is JSON of the shape that was asked
for, or an error that says what was found and what is needed.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.request_options import RequestOptions
from pydantic import TypeAdapter, ValidationError

from backend.errors import (
    LabelStudioError,
    LabelStudioUnauthorizedError,
    LabelStudioUnreachableError,
)
from backend.label_studio.wording import shown_uri, token_refused

Answer = TypeVar("Answer")
Guard = Callable[[], None]
READS = "GET"
SHOWN_CHARACTERS = 300
# Of these requests the usual one is taken: one that reads much takes longer.
LAST_REQUESTS = 9
# httpcore's names of the moments right before a request's head and its body are written.
WRITES = ("http11.send_request_headers.started", "http11.send_request_body.started")
# Whom the request that this thread sends has to ask. The SDK's client is shared.
_guard_of_request: ContextVar[Guard | None] = ContextVar("guard_of_request", default=None)


class Transport:
    """The way to one Label Studio; may be used from several threads.

    Every method raises LabelStudioUnreachableError, LabelStudioUnauthorizedError or
    LabelStudioError; no message carries a token.
    """

    def __init__(self, url: str, api_key: str, timeout_s: float, retries: int) -> None:
        """Talk to the Label Studio at `url` with a legacy or personal access token.

        LabelStudioUnauthorizedError: no token, or a personal access token that has expired.
        """
        if not api_key:
            raise LabelStudioUnauthorizedError(
                f"no token for {shown_uri(url)}: set LABEL_STUDIO_API_KEY to a personal access "
                "token (Label Studio > Account & Settings) or a legacy token"
            )
        self._url = url
        self._where = f"Label Studio at {shown_uri(url)}"
        self._retries = retries
        try:
            # A POST that follows a redirect becomes a GET, which writes nothing.
            sdk = LabelStudio(
                base_url=url, api_key=api_key, timeout=timeout_s, follow_redirects=False
            )
        except ApiError as error:
            raise self._named(error.status_code, error.body) from error
        self._wrapper = sdk._client_wrapper
        self._wrapper.httpx_client.httpx_client.event_hooks = {"request": [_ask_guard]}
        self._guard: Guard | None = None
        self._took_s: deque[float] = deque(maxlen=LAST_REQUESTS)

    @property
    def request_s(self) -> float:
        """How long a request that reads took lately, in seconds; 0 before the first one."""
        return statistics.median(self._took_s.copy() or [0.0])

    def guarded(self, guard: Guard) -> Transport:
        """The same way, for who must ask before each request that may change something.

        guard: raises where nothing may be changed. It is called before each try, and again right
            before its head and its body are written: the process may stand still at any moment.
        """
        guarded = copy.copy(self)
        guarded._guard = guard
        return guarded

    def authorization(self) -> dict[str, str]:
        """The header that Label Studio needs now; a personal access token is refreshed."""
        try:
            return {"Authorization": self._wrapper.get_headers()["Authorization"]}
        except ApiError as error:
            raise self._named(error.status_code, error.body) from error
        except httpx.RequestError as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise LabelStudioError(
                f"{self._where} answers the refresh of a personal access token with something that "
                "is no token"
            ) from error

    def ask(
        self,
        shape: TypeAdapter[Answer],
        method: str,
        path: str,
        parameters: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        retries: int | None = None,
    ) -> Answer:
        """The JSON that a path answers, of this shape."""
        reply = self._reply(method, path, parameters, body, retries)
        if reply.status_code >= HTTPStatus.BAD_REQUEST:
            raise self._named(reply.status_code, _body(reply))
        return self._shaped(shape, reply, f"{method} /{path}")

    def find(
        self,
        shape: TypeAdapter[Answer],
        method: str,
        path: str,
        parameters: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        retries: int | None = None,
        gone: str | None = None,
    ) -> Answer | None:
        """The same; None for a 404, and for an error whose body holds `gone`."""
        reply = self._reply(method, path, parameters, body, retries)
        if reply.status_code == HTTPStatus.NOT_FOUND:
            return None
        if reply.status_code >= HTTPStatus.BAD_REQUEST:
            found = _body(reply)
            if gone is not None and gone in str(found):
                return None
            raise self._named(reply.status_code, found)
        return self._shaped(shape, reply, f"{method} /{path}")

    def _reply(
        self,
        method: str,
        path: str,
        parameters: dict[str, Any] | None,
        body: dict[str, Any] | None,
        retries: int | None,
    ) -> httpx.Response:
        retries = self._retries if retries is None else retries
        reply = self._sent(method, path, parameters, body, retries)
        if reply.status_code == HTTPStatus.UNAUTHORIZED and self._forget_access_token():
            # It had expired by Label Studio's clock, not by ours yet.
            reply = self._sent(method, path, parameters, body, retries)
        if reply.is_redirect:
            target = shown_uri(reply.headers.get("location", ""))
            raise LabelStudioError(
                f"{self._where} redirects {method} /{path} to {target}; LABEL_STUDIO_URL needs the "
                "address that answers itself"
            )
        return reply

    def _sent(
        self,
        method: str,
        path: str,
        parameters: dict[str, Any] | None,
        body: dict[str, Any] | None,
        retries: int,
    ) -> httpx.Response:
        self.authorization()  # names what goes wrong where the token has to be refreshed
        options = RequestOptions(max_retries=retries)
        asked = _guard_of_request.set(None if method == READS else self._guard)
        started = time.monotonic()
        try:
            reply = self._wrapper.httpx_client.request(
                path, method=method, params=parameters, json=body, request_options=options
            )
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        finally:
            _guard_of_request.reset(asked)
        if method == READS:
            # What writes may go side by side: each then takes longer for the others.
            self._took_s.append(time.monotonic() - started)
        return reply

    def _forget_access_token(self) -> bool:
        """Have the next request fetch an access token; False where the token is a legacy one."""
        tokens = self._wrapper._tokens_client
        tokens._access_token = None
        return not tokens._use_legacy_token

    def _shaped(self, shape: TypeAdapter[Answer], reply: httpx.Response, asked: str) -> Answer:
        try:
            return shape.validate_python(reply.json() if reply.content else None)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "all of it"
            found = f"JSON of another shape ({place}: {first['msg']})"
        except (ValueError, RecursionError):
            kind = reply.headers.get("content-type", "no content type")
            found = f"{len(reply.content)} bytes that are no JSON ({kind})"
        raise LabelStudioError(
            f"{self._where} answers {asked} with {found}; needed is what Label Studio 1.23 answers"
        )

    def _unreachable(self, error: Exception) -> LabelStudioUnreachableError:
        return LabelStudioUnreachableError(
            f"{self._where} does not answer ({type(error).__name__}: {error})"
        )

    def _named(self, status: int | None, body: Any) -> LabelStudioError:
        if status == HTTPStatus.UNAUTHORIZED:
            return token_refused(self._url)
        if status == HTTPStatus.FORBIDDEN:
            return LabelStudioUnauthorizedError(
                f"{self._where} refuses this user's request (403): {_detail(body)}"
            )
        if status in (
            HTTPStatus.BAD_GATEWAY,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.GATEWAY_TIMEOUT,
        ):
            return LabelStudioUnreachableError(f"{self._where} answers {status}")
        return LabelStudioError(f"{self._where} answers {status}: {_detail(body)}")


def _ask_guard(request: httpx.Request) -> None:
    """Ask now, and whenever bytes of the request are about to be written."""
    guard = _guard_of_request.get()
    if guard is None:
        return

    def ask(moment: str, _info: object) -> None:
        if moment in WRITES:
            guard()

    guard()
    request.extensions = {**request.extensions, "trace": ask}


def _body(reply: httpx.Response) -> Any:
    """The JSON of a refusal, else its text."""
    try:
        return reply.json()
    except (ValueError, RecursionError):
        return reply.text


def _detail(body: Any) -> str:
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    return str(body)[:SHOWN_CHARACTERS]
