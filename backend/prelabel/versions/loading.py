"""From the settings to a loaded detector and to a predictor that uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from fbnetv3.classification.classifier import Classifier
from fbnetv3.classification.linear_head import LinearHead
from fbnetv3.detector import Detector, version_of
from fbnetv3.engines.opening import EngineName
from fbnetv3.judging.calibration import IDENTITY, Calibration, calibration_in
from fbnetv3.judging.operating_point import thresholds_in
from fbnetv3.weights import Checkpoint
from fbnetv3.weights.folders import find_weights, is_path
from prelabel.inference.choice_models import ChoiceModels
from prelabel.inference.predictor import Predictor, PredictorOptions
from prelabel.inference.prompt_features import PromptFeatures
from prelabel.labelstudio.api.client import label_studio_client
from prelabel.labelstudio.fetching.fetcher import FetchLimits, ImageFetcher
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.versions import find_version
from prelabel.versions.detectors import open_detector
from prelabel.versions.provisional import project_provisional
from prelabel.versions.records import (
    Version,
    VersionError,
    load_version,
    serving_version,
    version_calibration,
    version_checkpoint,
    version_heads,
    version_thresholds,
)

AUTO_WEIGHTS = "auto"


def load_detector(settings: Settings) -> Detector:
    """The detector that the settings ask for. Raises WeightsError and ConfigError.

    The first time that ONNX Runtime runs some weights takes ten seconds or more, with PyTorch some seconds.
    """
    return open_detector(settings, chosen_weights(settings), **settings.network_settings)


def project_detector(settings: Settings, database: Database, project_id: int) -> Detector:
    """The detector of the project's serving version, that of the base weights where it has none.

    Raises WeightsError and ConfigError.
    """
    version = serving_version(database, project_id)
    return load_version(settings, version) if version else load_detector(settings)


def project_checkpoint(settings: Settings, database: Database, project_id: int) -> tuple[str, Checkpoint]:
    """The name and the weights of what serves the project. Raises WeightsError."""
    version = serving_version(database, project_id)
    return (version.name, version_checkpoint(settings, version)) if version else base_checkpoint(settings)


def base_checkpoint(settings: Settings) -> tuple[str, Checkpoint]:
    """The version and the weights that serve every project without a version of its own. Raises WeightsError."""
    from fbnetv3.weights import load_checkpoint  # needs PyTorch, which a server does without

    weights = chosen_weights(settings)
    checkpoint = load_checkpoint(weights)
    return version_of(weights, checkpoint.digest), checkpoint


def checkpoint_called(settings: Settings, database: Database, name: str) -> Checkpoint:
    """The weights of a version, or of the base weights if that is their name, with the network settings that they serve
    with. Raises WeightsError, and VersionError where there are no such weights (any more).
    """
    if version := find_version(database, name):
        return version_checkpoint(settings, version)
    base, checkpoint = base_checkpoint(settings)
    if base != name:
        raise VersionError(f"the base weights are {base} by now, and no longer {name}")
    return replace(checkpoint, settings=checkpoint.settings | settings.network_settings)


def chosen_weights(settings: Settings) -> str:
    """The weights to load: `auto` is `coco` where these have been pulled or provisioned, else `starter`."""
    if settings.prelabel_weights != AUTO_WEIGHTS:
        return settings.prelabel_weights
    return "coco" if find_weights("coco") else "starter"


def project_predictor(
    settings: Settings, database: Database, project_id: int, *, provisional: bool = False
) -> Predictor:
    """A predictor with what serves the project, or else the base weights. `provisional`: with the project's
    provisional version before these.

    Raises WeightsError, ConfigError, LabelStudioError.
    """
    if version := serving_version(database, project_id):
        return version_predictor(settings, version)
    base = base_predictor(settings)
    early = project_provisional(settings, database, project_id, base) if provisional else None
    return early or base


def base_predictor(settings: Settings, prompt_features: PromptFeatures | None = None) -> Predictor:
    """A predictor with the base weights, and the calibration and thresholds that their file has. Raises WeightsError,
    ConfigError and LabelStudioError.
    """
    file = _base_file(settings)
    return build_predictor(
        settings,
        load_detector(settings),
        prompt_features,
        calibration=calibration_in(file) if file else IDENTITY,
        thresholds=base_thresholds(settings),
    )


def base_thresholds(settings: Settings) -> Mapping[str, float]:
    """The operating point that the file of the base weights carries, by their labels; empty where it has none."""
    file = _base_file(settings)
    return (thresholds_in(file) if file else None) or {}


def _base_file(settings: Settings) -> Path | None:
    weights = chosen_weights(settings)
    return Path(weights) if is_path(weights) else find_weights(weights)


def version_predictor(
    settings: Settings, version: Version, prompt_features: PromptFeatures | None = None
) -> Predictor:
    """A predictor with a version's detector, heads, calibration and thresholds. Raises WeightsError, ConfigError,
    VersionError and LabelStudioError.
    """
    return build_predictor(
        settings,
        load_version(settings, version),
        prompt_features,
        version_heads(settings, version),
        version_calibration(version),
        version_thresholds(version),
    )


def build_predictor(
    settings: Settings,
    detector: Detector,
    prompt_features: PromptFeatures | None = None,
    heads: Sequence[LinearHead] = (),
    calibration: Calibration = IDENTITY,
    thresholds: Mapping[str, float] = MappingProxyType({}),
) -> Predictor:
    """A predictor with the fetching limits, thresholds and classifier of the settings; see Predictor.

    `heads`: what answers choices from the features of this detector. Raises LabelStudioError, and WeightsError for the
    classifier.
    """
    options = PredictorOptions.of(settings)
    choices = ChoiceModels(heads, load_classifier(settings))
    return Predictor(
        detector, build_fetcher(settings), options, prompt_features, choices, calibration, thresholds
    )


def load_classifier(settings: Settings) -> Classifier | None:
    """The classifier of the settings, one for all that use it; None where they name none. Raises WeightsError."""
    weights = settings.prelabel_classifier_weights
    if weights is None:
        return None
    return _classifier(weights, settings.prelabel_engine, settings.device, settings.inference_threads)


@lru_cache(maxsize=1)
def _classifier(weights: Path, engine: EngineName, device: str, threads: int | None) -> Classifier:
    return Classifier.load(weights, engine=engine, device=device, threads=threads)


def build_fetcher(settings: Settings) -> ImageFetcher:
    """An image fetcher with the limits of the settings; without a token it cannot read from Label Studio."""
    client = label_studio_client(settings) if settings.label_studio_api_key else None
    return ImageFetcher(client, FetchLimits.of(settings), settings.image_cache_path)
