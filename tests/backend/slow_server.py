"""`python slow_server.py PORT HOME`: the real server with a detector that takes its time."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from default_limits import fetch_limits, predictor_options
from flask import Flask
from serving import ColourDetector

from fbnetv3.detector import ImageFeatures, Threshold
from fbnetv3.instances import Instances
from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.server.app import create_app
from prelabel.server.model_holder import ModelHolder
from prelabel.server.process import Server
from prelabel.settings import load_settings
from prelabel.store.database import Database

SECONDS_PER_IMAGE = 0.5


class SlowDetector(ColourDetector):
    """Answers after SECONDS_PER_IMAGE."""

    def find(self, features: Sequence[ImageFeatures], *thresholds: Threshold) -> list[Instances]:
        time.sleep(SECONDS_PER_IMAGE * len(features))
        return super().find(features, *thresholds)


class SlowServer(Server):
    """The server, its network replaced."""

    def load(self) -> Flask:
        fetcher = ImageFetcher(None, fetch_limits(), SETTINGS.image_cache_path)
        model = ModelHolder(lambda: Predictor(SlowDetector(), fetcher, predictor_options(batch_size=1)))
        return create_app(SETTINGS, model, Database.open(SETTINGS.database_url))


if __name__ == "__main__":
    SETTINGS = load_settings(port=int(sys.argv[1]), prelabel_home=Path(sys.argv[2]), threads=4)
    SlowServer(SETTINGS).run()
