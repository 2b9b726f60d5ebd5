"""A headless Chromium, and how a person logs in to the demo's Label Studio."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

from prelabel.demo.account import EMAIL, PASSWORD

CHROMIUM = shutil.which("chromium")
NO_CHROMIUM = "no chromium: `apt-get install chromium`"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
TIMEOUT_MS = 60_000
WIDTH, HEIGHT = 1440, 900


@contextmanager
def chromium_page() -> Iterator[Page]:
    """An empty page of a browser that nobody has used."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(TIMEOUT_MS)
        yield page
        browser.close()


def log_in(page: Page, address: str) -> None:
    """Open a page of Label Studio as the demo's user."""
    page.goto(address)
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/user/login" not in url)
