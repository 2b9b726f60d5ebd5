"""Label Studio as the settings reach it."""

from __future__ import annotations

from prelabel.labelstudio.client import LabelStudioClient
from prelabel.settings import Settings


def label_studio_client(settings: Settings) -> LabelStudioClient:
    """Label Studio as the user whose token is set. Raises LabelStudioError, also when there is no token."""
    key = settings.label_studio_api_key
    return LabelStudioClient(
        settings.label_studio_url,
        key.get_secret_value() if key else "",
        headers=settings.label_studio_headers,
    )
