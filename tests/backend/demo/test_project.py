"""The demo's labelling config, which prelabel's own reading of configs must understand."""

from __future__ import annotations

from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.writing import colour, label_config

LABELS = ("apple", 'a "big" <mug>', "salt & pepper")


def test_every_label_gets_a_box_and_a_mask() -> None:
    spec = LabelSpec.from_config(label_config(LABELS, has_masks=True), LABELS, default_threshold=0.5)
    assert [control.region_type for control in spec.controls] == ["brushlabels", "rectanglelabels"]
    for control in spec.controls:
        assert dict(control.label_map) == {label: label for label in LABELS}
        assert control.image_key == "image" and not control.unmatched


def test_a_network_without_masks_gets_boxes_only() -> None:
    spec = LabelSpec.from_config(label_config(LABELS, has_masks=False), LABELS, default_threshold=0.5)
    assert [control.region_type for control in spec.controls] == ["rectanglelabels"]


def test_eighty_labels_have_eighty_colours() -> None:
    colours = {colour(index) for index in range(80)}
    assert len(colours) == 80 and all(len(value) == 7 for value in colours)
