"""The block tables of the zoo's networks, as data.

A block is one row `Block(op, channels, stride, repeats, expansion)`; a stage is a list of rows, a part of the
network (trunk, RPN, box head, mask head) a list of stages. Facts: d2go `modeling/modeldef/modeldef.py`
(Apache-2.0) and FBNetV3, arXiv 2006.02049.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Block(NamedTuple):
    """`repeats` blocks in a row; only the first one has the stride (-2 doubles the size instead)."""

    op: Literal["conv", "ir"]
    channels: int
    stride: int
    repeats: int = 1
    expansion: int = 1
    kernel: int = 3
    squeeze_excite: bool = False


Stage = tuple[Block, ...]


def _ir(
    channels: int, stride: int, repeats: int, expansion: int, kernel: int = 3, squeeze_excite: bool = False
) -> Block:
    return Block("ir", channels, stride, repeats, expansion, kernel, squeeze_excite)


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
