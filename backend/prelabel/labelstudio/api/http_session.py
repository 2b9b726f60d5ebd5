"""The HTTP session that everything here uses: it adds nothing of its own to what it is asked to send."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy

import requests
from requests.adapters import BaseAdapter


class PlainSession(requests.Session):
    """A session without redirects and cookies.

    Redirects: requests reads the whole body of one even when it does not follow it, however long that is.
    Cookies: Label Studio sets a session cookie on every answer; sent back, it would demand a CSRF token.
    """

    def __init__(self, adapter: BaseAdapter) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self.mount(scheme, adapter)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Nothing: the caller looks at the `Location` header."""
        return None
