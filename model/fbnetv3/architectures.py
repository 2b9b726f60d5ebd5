"""The block tables of the zoo's networks, as data.

A block is one row `Block(op, channels, stride, repeats, expansion)`; a stage is a list of rows, a part of the
network (trunk, RPN, box head, mask head) a list of stages. Facts: d2go `modeling/modeldef/modeldef.py`
(Apache-2.0) and FBNetV3, arXiv 2006.02049; for the classifier FBNetV2, arXiv 2004.05565.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Activation = Literal["relu", "hswish"]


class Block(NamedTuple):
    """`repeats` blocks in a row; only the first one has the stride (-2 doubles the size instead).

    `conv`: a convolution; `ir`: an inverted residual block; `pool`: one with a mean over the area for its depthwise
    convolution; `skip`: nothing, or a 1x1 convolution where the width changes.
    """

    op: Literal["conv", "ir", "pool", "skip"]
    channels: int
    stride: int
    repeats: int = 1
    expansion: float = 1
    kernel: int = 3
    squeeze_excite: bool = False
    activation: Activation = "relu"


Stage = tuple[Block, ...]


def _ir(
    channels: int,
    stride: int,
    repeats: int,
    expansion: float,
    kernel: int = 3,
    squeeze_excite: bool = False,
    activation: Activation = "relu",
) -> Block:
    return Block("ir", channels, stride, repeats, expansion, kernel, squeeze_excite, activation)


@dataclass(frozen=True)
class Architecture:
    """The four parts of one network, and how its features reach the heads.

    `pyramid_channels` is None for C4 (all heads read the last trunk stage) and the width of the feature
    pyramid (levels p2 to p6) otherwise.
    """

    trunk: tuple[Stage, ...]
    rpn: Stage
    box_head: Stage
    mask_head: Stage
    pyramid_channels: int | None = None


_DSMASK_TRUNK: tuple[Stage, ...] = (
    (Block("conv", 16, 2), _ir(16, 1, 1, 1)),
    (_ir(32, 2, 1, 4, 5), _ir(32, 1, 1, 2, 5)),
    (_ir(40, 2, 1, 4, 5), _ir(40, 1, 3, 3)),
    (_ir(72, 2, 1, 4, 5), _ir(72, 1, 3, 3), _ir(112, 1, 1, 4, 5), _ir(112, 1, 3, 4, 5)),
)

_A_TRUNK: tuple[Stage, ...] = (
    (Block("conv", 16, 2), _ir(16, 1, 2, 1)),
    (_ir(24, 2, 1, 4, 5), _ir(24, 1, 3, 3, 5)),
    (_ir(32, 2, 1, 4, 5, True), _ir(32, 1, 3, 3, 3, True)),
    (_ir(64, 2, 1, 4, 5), _ir(64, 1, 3, 3), _ir(112, 1, 1, 4, 5, True), _ir(112, 1, 5, 3, 5, True)),
)

_G_TRUNK: tuple[Stage, ...] = (
    (Block("conv", 32, 2), _ir(24, 1, 3, 1)),
    (_ir(40, 2, 1, 4, 5), _ir(40, 1, 4, 2, 5)),
    (_ir(56, 2, 1, 4, 5, True), _ir(56, 1, 4, 3, 5, True)),
    (_ir(104, 2, 1, 5, 5), _ir(104, 1, 4, 3), _ir(160, 1, 1, 5, 3, True), _ir(160, 1, 8, 3, 5, True)),
    (_ir(264, 2, 1, 6, 3, True), _ir(264, 1, 6, 5, 5, True), _ir(288, 1, 2, 6, 5, True)),
)

_SMALL_MASK_HEAD: Stage = (_ir(128, 2, 1, 4), _ir(128, 1, 2, 6), _ir(128, -2, 1, 6), _ir(64, -2, 1, 3))

DSMASK_C4 = Architecture(
    trunk=_DSMASK_TRUNK,
    rpn=(_ir(112, 1, 3, 4, 5),),
    box_head=(_ir(128, 2, 1, 4), _ir(128, 1, 2, 6), _ir(160, 1, 1, 6)),
    mask_head=_SMALL_MASK_HEAD,
)

A_C4 = Architecture(
    trunk=_A_TRUNK,
    rpn=(_ir(112, 1, 5, 3, 5, True),),
    box_head=(_ir(184, 2, 1, 4, 5, True), _ir(184, 1, 4, 4, 3, True), _ir(200, 1, 1, 6, 5, True)),
    mask_head=_SMALL_MASK_HEAD,
)

G_FPN = Architecture(
    trunk=_G_TRUNK,
    rpn=(_ir(160, 1, 1, 3, 5, True),),
    box_head=_G_TRUNK[4],
    mask_head=(_ir(96, 1, 1, 6), _ir(160, 1, 3, 6), _ir(80, -2, 1, 3)),
    pyramid_channels=128,
)

#: config name -> architecture; `mask_rcnn_` adds the mask head to what `faster_rcnn_` has.
ARCHITECTURES: dict[str, Architecture] = {
    f"{kind}_rcnn_{name}": architecture
    for kind in ("faster", "mask")
    for name, architecture in (
        ("fbnetv3a_dsmask_C4", DSMASK_C4),
        ("fbnetv3a_C4", A_C4),
        ("fbnetv3g_fpn", G_FPN),
    )
}

#: The classifier, FBNetV2-L3; its widths are what a search found, in fractions of a channel.
DMASKING_L3: tuple[Stage, ...] = (
    (Block("conv", 24, 2, activation="hswish"),),
    (_ir(24, 1, 1, 1),),
    (_ir(32, 2, 1, 5.4566, 5), _ir(32, 1, 1, 1.7912, 5), _ir(32, 1, 1, 1.7912), _ir(32, 1, 1, 1.7912, 5)),
    (_ir(48, 2, 1, 5.3501, 5, True), _ir(40, 1, 1, 3.5379, 5, True), _ir(40, 1, 2, 4.5379, 5, True)),
    (
        _ir(72, 2, 1, 5.7133, 5, activation="hswish"),
        _ir(72, 1, 1, 2.1212, activation="hswish"),
        Block("skip", 72, 1),
        _ir(72, 1, 1, 3.1246, activation="hswish"),
        _ir(120, 1, 1, 5.0333, activation="hswish"),
        _ir(120, 1, 1, 2.507, 5, True, "hswish"),
        _ir(120, 1, 1, 1.7712, 5, True, "hswish"),
        _ir(120, 1, 1, 2.7712, 5, True, "hswish"),
        _ir(120, 1, 3, 3.7712, 5, True, "hswish"),
    ),
    (
        _ir(192, 2, 1, 5.5685, 3, True, "hswish"),
        _ir(192, 1, 2, 2.84, 5, True, "hswish"),
        _ir(192, 1, 2, 4.8754, 5, True, "hswish"),
        Block("skip", 240, 1),
    ),
    (Block("pool", 1984, 1, expansion=6, activation="hswish"),),
)
