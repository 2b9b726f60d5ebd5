"""The demo's account in Label Studio, and the personal access token that prelabel works with."""

from __future__ import annotations

import os
from pathlib import Path

import requests

from prelabel.demo.service import ServiceError

EMAIL = "demo@example.com"
PASSWORD = "prelabel-demo"
TIMEOUT_SECONDS = 30


def personal_access_token(url: str, keep_in: Path) -> str:
    """The token kept in this file while Label Studio accepts it, else a new one (readable by its owner only).

    Label Studio shows a token once and allows one per account, so a new one revokes the old one.
    Raises ServiceError where the demo's account cannot sign in.
    """
    if keep_in.exists() and _is_accepted(url, token := keep_in.read_text()):
        return token
    with _signed_in(url) as session:
        token = _new_token(url, session)
    with os.fdopen(os.open(keep_in, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(token)
    return token


def _is_accepted(url: str, token: str) -> bool:
    return requests.post(f"{url}/api/token/refresh/", json={"refresh": token}, timeout=TIMEOUT_SECONDS).ok


def _signed_in(url: str) -> requests.Session:
    session = requests.Session()
    page = f"{url}/user/login/"
    session.get(page, timeout=TIMEOUT_SECONDS).raise_for_status()
    form = {"email": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    answer = session.post(page, form, allow_redirects=False, timeout=TIMEOUT_SECONDS)
    if answer.status_code != requests.codes.found:
        raise ServiceError(
            f"Label Studio at {url} refuses the demo's login {EMAIL}: was its password changed?"
        )
    session.headers["X-CSRFToken"] = session.cookies["csrftoken"]
    return session


def _new_token(url: str, session: requests.Session) -> str:
    tokens = f"{url}/api/token/"
    for old in session.get(tokens, timeout=TIMEOUT_SECONDS).json():
        session.post(f"{tokens}blacklist/", json={"refresh": old["token"]}, timeout=TIMEOUT_SECONDS)
    answer = session.post(tokens, json={}, timeout=TIMEOUT_SECONDS)
    if not answer.ok:
        raise ServiceError(f"Label Studio at {url} makes no access token: HTTP {answer.status_code}.")
    return str(answer.json()["token"])
