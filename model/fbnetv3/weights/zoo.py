"""The weights that can be fetched by name: where they lie, what is published about them, on what terms."""

from __future__ import annotations

from dataclasses import dataclass

from fbnetv3.weights.checkpoint import WeightsError

_D2GO_MODELS = "https://mobile-cv.s3-us-west-2.amazonaws.com/d2go/models/"
_D2GO_LICENCE = "repository: Apache-2.0; weights: not stated"
_ANDROID_DEMO = "https://raw.githubusercontent.com/pytorch/android-demo-app/master/D2Go/ObjectDetection/app/src/main/assets/"
_ANDROID_DEMO_LICENCE = "not stated (README: as is, no warranty)"

#: The ImageNet classifier, which is fetched by hand: its authors publish code and models under CC BY-NC 4.0
#: (mobile_cv's model_info_dmasking.json at b95ef336).
CLASSIFIER = "dmasking_l3"
CLASSIFIER_URL = (
    "https://dl.fbaipublicfiles.com/fbnet/models/20200105/melBmS/dmasking_l3_f156819299/model.pth"
)


@dataclass(frozen=True)
class ZooEntry:
    """One published file.

    `model`: the configuration that the file itself holds. `box_ap`, `mask_ap`: as published, in per cent on
    COCO val2017; None: not published. `prefix` and `published_file`: the two parts of its URL. `size`
    (bytes) and `sha256` where known. `mask_head`: a file in this package that adds masks to it.
    """

    name: str
    model: str
    box_ap: float | None
    mask_ap: float | None
    prefix: str
    published_file: str
    licence: str
    size: int | None = None
    sha256: str | None = None
    mask_head: str | None = None

    @property
    def url(self) -> str:
        """Where the file is published."""
        return self.prefix + self.published_file

    @property
    def file_names(self) -> tuple[str, ...]:
        """The names, relative to a folder of provisioned weights, that the published file may have."""
        flat = self.published_file.replace("/", "_")
        return (self.published_file, flat) if flat != self.published_file else (flat,)


def _d2go(model: str, box_ap: float, mask_ap: float | None, published_file: str) -> ZooEntry:
    return ZooEntry(model, model, box_ap, mask_ap, _D2GO_MODELS, published_file, _D2GO_LICENCE)


# AP and files: MODEL_ZOO.md of facebookresearch/d2go at f4ac1567 (November 2024).
_ENTRIES = (
    ZooEntry(
        name="coco",
        model="faster_rcnn_fbnetv3a_dsmask_C4",
        box_ap=None,
        mask_ap=None,
        prefix=_ANDROID_DEMO,
        published_file="d2go.pt",
        licence=_ANDROID_DEMO_LICENCE,
        size=2_596_633,
        sha256="a83b0798d5c4fce6c96fe27f9f0b22408d64a3faf76285b0e45047fab322ecdd",
        mask_head="coco_mask_head.safetensors",
    ),
    _d2go("mask_rcnn_fbnetv3a_dsmask_C4", 21.76, 19.97, "268412271/model_0499999.pth"),
    _d2go("mask_rcnn_fbnetv3a_C4", 23.05, 20.71, "268421013/model_final.pth"),
    _d2go("mask_rcnn_fbnetv3g_fpn", 43.31, 39.24, "287445123/model_0409999.pth"),
    _d2go("faster_rcnn_fbnetv3a_dsmask_C4", 21.06, None, "250414811/model_0399999.pth"),
    _d2go("faster_rcnn_fbnetv3a_C4", 22.99, None, "246823121/model_0479999.pth"),
    _d2go("faster_rcnn_fbnetv3g_fpn", 43.13, None, "250356938/model_0374999.pth"),
)
ZOO = {entry.name: entry for entry in _ENTRIES}


def zoo_entry(name: str) -> ZooEntry:
    """The entry called `name`. Raises WeightsError, which lists the names, when there is none."""
    if name not in ZOO:
        raise WeightsError(f"no weights called {name!r} are published; known are {', '.join(ZOO)}")
    return ZOO[name]
