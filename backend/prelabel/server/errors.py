"""What a caller gets when a request cannot be answered: JSON with one sentence, never a traceback."""

from __future__ import annotations

import logging
import secrets

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from prelabel.errors import PrelabelError
from prelabel.inference.outcomes import Abandoned
from prelabel.labelstudio.errors import LabelConfigError
from prelabel.store.database import StoreError

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
MAX_REASON_LENGTH = 200

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a caller who did not wait; nobody reads the answer, but the metrics count it."""


class RequestError(PrelabelError):
    """A request that is wrong; the message is one sentence that says how."""


class NotReady(PrelabelError):
    """A request that cannot be answered now, though nothing is wrong with it; the message is one sentence."""


class ModelNotReady(NotReady):
    """There is no model to ask now."""


class NothingSeen(NotReady):
    """Not one image of the request could be viewed."""


def register_error_handlers(app: Flask) -> None:
    """Make every error of `app` JSON."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(RequestError, lambda error: _answer(400, str(error)))
    app.register_error_handler(LabelConfigError, lambda error: _answer(400, str(error)))
    app.register_error_handler(NotReady, _not_ready)
    app.register_error_handler(Abandoned, _abandoned)
    app.register_error_handler(StoreError, _store_fails)
    app.register_error_handler(Exception, _unexpected)


def _answer(status: int, sentence: str) -> Response:
    """The sentence also becomes the HTTP reason phrase: all that Label Studio shows of a failed call."""
    response = jsonify(error=sentence)
    response.status = f"{status} {_reason_phrase(sentence)}"
    return response


def _reason_phrase(sentence: str) -> str:
    printable = "".join(character if " " <= character <= "~" else "?" for character in sentence)
    return printable[:MAX_REASON_LENGTH]


def _http_error(error: HTTPException) -> Response:
    response = _answer(error.code or 500, _http_sentence(error))
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _http_sentence(error: HTTPException) -> str:
    if isinstance(error, NotFound):
        return f"There is no route {request.path}."
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return f"{request.path} does not answer {request.method}, only {allowed}."
    if isinstance(error, RequestEntityTooLarge):
        return "The request is too large."
    return error.description or error.name


def _not_ready(error: NotReady) -> Response:
    response = _answer(503, str(error))
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _store_fails(error: StoreError) -> Response:
    logger.error("%s %s could not be answered: %s", request.method, request.path, error)
    return _answer(503, str(error))


def _abandoned(_: Abandoned) -> Response:
    logger.warning("the caller of %s hung up; the rest of its work was dropped", request.path)
    return _answer(CLIENT_CLOSED_REQUEST, "The caller closed the connection.")


def _unexpected(error: Exception) -> Response:
    error_id = secrets.token_hex(4)
    logger.error("internal error %s at %s %s", error_id, request.method, request.path, exc_info=error)
    response = jsonify(error="internal error", id=error_id)
    response.status_code = 500
    return response
