"""Logging of whatever runs by itself: plain lines on stderr, no request headers, no bodies and so no tokens."""

from __future__ import annotations

from typing import Any


def logging_config(level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`: our own lines from `level` on, those of libraries from WARNING on.

    Libraries stay there whatever the level: urllib3 would log presigned URLs, as good as tokens.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {name: {"level": level} for name in ("prelabel", "fbnetv3")},
    }
