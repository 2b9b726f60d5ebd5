"""One authorised HTTP connection to Label Studio: tokens, timeouts, retries and the wording of its errors.

A small REST layer of our own, although label-studio-sdk has a generated client: here every call has a bounded
time, a refused token of either kind comes with advice, a failure is one exception with one sentence, and
`send` can hand an answer over as a stream (images).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from prelabel.labelstudio.api.http_session import PlainSession
from prelabel.labelstudio.api.proxies import (
    SETTING,
    redirection,
    refusal_of_proxy,
    takes_authorization,
    token_header,
)
from prelabel.labelstudio.api.tokens import PERSONAL_ACCESS_TOKEN, credentials
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.labelstudio.urls import shown_path

CONNECT_TIMEOUT_S = 5.0
DETAIL_LENGTH = 300
"""Label Studio's own explanation is cut here: it sometimes quotes a whole region."""

POOL_SIZE = 32
"""Connections kept open: as many threads as a server is likely to have."""

RETRY = Retry(total=1, backoff_factor=0.3, allowed_methods={"GET"}, status_forcelist={502, 503, 504})
"""One more try where repeating is harmless: no connection at all, or a GET that a restart cut short."""


class Connection:
    """Authorised requests to one Label Studio. Safe to share between threads.

    `url`: where Label Studio answers, with its path prefix if it has one. `api_key`: a legacy token or a
    personal access token. `timeout`: seconds to wait for the next bytes of an answer; a call may set its own.
    `headers`: sent with every request, for a proxy in front of Label Studio (see `proxies`).
    Raises LabelStudioError for a URL or a token that can never work; nothing is sent until the first call.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        timeout: float = 30.0,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LabelStudioError(f"The Label Studio URL must look like https://host[:port], not {url!r}.")
        if parts.username is not None:
            raise LabelStudioError(
                f"The Label Studio URL must not hold a user name: a token says who it is, and {SETTING} has what a "
                "proxy in front of Label Studio asks for."
            )
        self.url = url.strip().rstrip("/")
        self.timeout = timeout
        self._headers = dict(headers)
        self._credentials = credentials(api_key, self._exchange)
        if takes_authorization(self._headers) and self.token_kind == PERSONAL_ACCESS_TOKEN:
            raise LabelStudioError(
                f"{SETTING} sets Authorization, and Label Studio takes a personal access token in no other header: "
                "give LABEL_STUDIO_API_KEY a legacy token, or let the proxy pass /api and /data without a password."
            )
        self._session = PlainSession(HTTPAdapter(max_retries=RETRY, pool_maxsize=POOL_SIZE))

    @property
    def token_kind(self) -> str:
        """ "legacy token" or "personal access token"."""
        return self._credentials.kind

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        """One authorised request; the answer may have any status, and redirects are not followed.

        `path` is relative to Label Studio's URL; `options` are those of requests (params, json, files,
        stream). After a 401 it is tried once more with a new access token. Raises LabelStudioError without an
        answer.
        """
        header = self._credentials.header()
        response = self._exchange_once(method, path, header, **options)
        if response.status_code == 401 and self._credentials.renew(header):
            response.close()
            response = self._exchange_once(method, path, self._credentials.header(), **options)
        return response

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """As `send`, but an answer that is not 2xx raises LabelStudioError with its status."""
        response = self.send(method, path, **options)
        if not response.ok or response.is_redirect:
            raise LabelStudioError(self.refusal(response), response.status_code)
        return response

    def json(self, method: str, path: str, **options: Any) -> Any:
        """The JSON that `request` is answered with. Raises LabelStudioError, also where it is not JSON."""
        return self._parsed(self.request(method, path, **options), f"{method} {path}")

    def delete(self, path: str, **options: Any) -> None:
        """`request` of a DELETE, whose answer is empty or JSON: a proxy's page is no deletion."""
        response = self.request("DELETE", path, **options)
        if response.content:
            self._parsed(response, f"DELETE {path}")

    def _parsed(self, response: requests.Response, call: str) -> Any:
        try:
            return response.json()
        except (ValueError, RecursionError):
            raise LabelStudioError(
                f"{self.url} did not answer {call} with JSON: is that the address of Label Studio?",
                response.status_code,
            ) from None

    def _exchange_once(self, method: str, path: str, authorization: str, **options: Any) -> requests.Response:
        options["headers"] = {**options.get("headers", {}), **token_header(authorization, self._headers)}
        return self._send(method, path, **options)

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", self.timeout)
        if not isinstance(options["timeout"], tuple):
            options["timeout"] = (min(CONNECT_TIMEOUT_S, options["timeout"]), options["timeout"])
        options["headers"] = {**self._headers, **options.get("headers", {})}
        call = f"{method} {path.partition('?')[0]}"
        try:
            return self._session.request(method, self.url + path, auth=_keep_header, **options)
        except requests.Timeout:
            message = f"Label Studio at {self.url} did not answer {call} in time."
        except requests.exceptions.SSLError:
            message = f"The certificate of Label Studio at {self.url} is not trusted by this machine."
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
            message = f"Label Studio at {self.url} broke off its answer to {call}."
        except requests.RequestException:
            message = f"Label Studio at {self.url} cannot be reached."
        raise LabelStudioError(message)

    def _exchange(self, token: str) -> str:
        """Buy an access token with a personal access token."""
        response = self._send("POST", "/api/token/refresh/", json={"refresh": token})
        if not response.ok or response.is_redirect:
            raise LabelStudioError(self.refusal(response), response.status_code)
        try:
            access = response.json()["access"]
        except (ValueError, KeyError, TypeError, RecursionError):
            access = None
        if not isinstance(access, str) or not re.fullmatch(r"[!-~]+", access):
            raise LabelStudioError(f"{self.url} answers, but not as Label Studio does: check the address.")
        return access

    def refusal(self, response: requests.Response) -> str:
        """One sentence on why an answer of `send` is not 2xx, without what is secret in its query."""
        status, method = response.status_code, response.request.method
        path = shown_path(response.url)
        if sentence := refusal_of_proxy(response, self.url, has_headers=bool(self._headers)):
            return sentence
        if status == 401:
            hint = self._credentials.rejected_hint
            return f"Label Studio at {self.url} refuses the {self.token_kind}: {hint}."
        if response.is_redirect:
            return redirection(self.url, f"{method} {path}", response)
        return f"Label Studio answered {method} {path} with {status}: {_detail(response)}."


def _keep_header(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An `auth` that changes nothing: without one, requests lets ~/.netrc replace our header."""
    return request


def _detail(response: requests.Response) -> str:
    """Label Studio's own explanation of an error, on one line and without markup."""
    try:
        body = response.json()
        text = _validation_errors(body.get("validation_errors")) or str(body["detail"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text = response.reason or "no explanation"
    text = " ".join(re.sub(r"<[^>]*>", "", text).split()).rstrip(".")
    return text if len(text) <= DETAIL_LENGTH else text[:DETAIL_LENGTH] + "..."


def _validation_errors(errors: Any) -> str:
    """{"title": ["Too short."], "non_field_errors": ["No."]} as "title: Too short. No."."""
    if not isinstance(errors, dict):
        return ""
    parts = []
    for field, messages in errors.items():
        text = " ".join(map(str, messages)) if isinstance(messages, list) else str(messages)
        parts.append(text if field == "non_field_errors" else f"{field}: {text}")
    return " ".join(parts)
