"""What a server process answers with: the newest provisional version of these base weights, without a load."""

from __future__ import annotations

import time
from concurrent.futures import Future
from functools import partial

import pytest
from label_studio_stand_in import PROJECT
from provisional_samples import Workplace
from version_samples import real_checkpoint, store_version

from prelabel.inference.predictor import Predictor
from prelabel.inference.prompt_features import PromptFeatures
from prelabel.server import project_models
from prelabel.server.model_holder import ModelHolder
from prelabel.server.process import _answering, _load_answering
from prelabel.server.project_models import ProjectModels
from prelabel.settings import Settings
from prelabel.store.promotions import add_promotion

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_models, "CHECK_SECONDS", 0)


def label(workplace: Workplace, seed: int) -> None:
    workplace.label(workplace.add_task(seed), seed)
    assert workplace.maker.make(PROJECT)


def ready(predictor: Predictor) -> Future[Predictor]:
    future: Future[Predictor] = Future()
    future.set_result(predictor)
    return future


def holder(
    workplace: Workplace, base: Future[Predictor] | None = None, settings: Settings | None = None
) -> ModelHolder:
    """As a server process has it."""
    settings, base = settings or workplace.settings, base or ready(workplace.base)
    projects = ProjectModels(
        partial(_answering, settings, workplace.database, base),
        partial(_load_answering, settings, PromptFeatures(0), workplace.database, base),
        1,
    )
    return ModelHolder(base.result, projects)


def becomes(holder: ModelHolder, version: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while holder.predictor(PATIENCE, PROJECT).version != version:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_every_version_answers_in_turn_and_shares_the_network(workplace: Workplace) -> None:
    served = holder(workplace)
    assert served.predictor(PATIENCE, PROJECT) is workplace.base
    for number in (1, 2, 3):
        label(workplace, number)
        assert becomes(served, f"p7-provisional-{number}")
        assert served.predictor(0, PROJECT).viewer is workplace.base.viewer
    assert served.predictor(0, None) is workplace.base
    assert served.predictor(0, PROJECT + 1) is workplace.base


def test_it_answers_from_the_start_and_waits_for_the_base_weights(workplace: Workplace) -> None:
    label(workplace, 1)
    loading: Future[Predictor] = Future()
    served = holder(workplace, loading)
    loading.set_result(workplace.base)
    assert served.predictor(PATIENCE, PROJECT).version == "p7-provisional-1"


def test_a_promoted_version_takes_its_place(workplace: Workplace) -> None:
    label(workplace, 1)
    settings = workplace.settings.model_copy(update={"prelabel_engine": "torch"})
    served = holder(workplace, settings=settings)
    assert served.predictor(PATIENCE, PROJECT).version == "p7-provisional-1"
    version = store_version(settings, workplace.database, 1, real_checkpoint())
    add_promotion(workplace.database, PROJECT, version, "better")
    assert becomes(served, "p7-v1")


def test_one_of_other_base_weights_does_not_answer(
    workplace: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    label(workplace, 1)
    other = workplace.base.with_detector(
        workplace.base.detector.with_engine(
            workplace.base.detector.engine, workplace.base.labels, "other-000000000000"
        ),
        {},
    )
    assert _answering(workplace.settings, workplace.database, ready(other)) == {}
    loading: Future[Predictor] = Future()
    served = holder(workplace, loading)
    loading.set_result(other)
    assert becomes(served, "other-000000000000")
    said = "p7-provisional-1 belongs to the base weights starter"
    deadline = time.monotonic() + PATIENCE
    while said not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert said in caplog.text


def test_it_is_off_where_the_settings_say_so(workplace: Workplace) -> None:
    label(workplace, 1)
    settings = workplace.settings.model_copy(update={"prelabel_provisional": False})
    assert holder(workplace, settings=settings).predictor(PATIENCE, PROJECT) is workplace.base


def test_provisional_versions_take_no_room_of_others(workplace: Workplace) -> None:
    label(workplace, 1)
    settings = workplace.settings.model_copy(update={"prelabel_engine": "torch"})
    version = store_version(settings, workplace.database, 1, real_checkpoint(), project_id=PROJECT + 1)
    add_promotion(workplace.database, PROJECT + 1, version, "better")
    served = holder(workplace, settings=settings)
    kept = served.predictor(PATIENCE, PROJECT + 1)
    for number in (2, 3):
        label(workplace, number)
        assert becomes(served, f"p7-provisional-{number}")
    assert served.predictor(PATIENCE, PROJECT + 1) is kept
