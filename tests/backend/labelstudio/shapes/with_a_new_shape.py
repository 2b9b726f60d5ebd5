"""A shape that prelabel does not have, added by a row in the table. Prints what becomes of it.

Run as a process of its own, because modules read the table once. The tag is one that Label Studio has and prelabel does
not fill.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import numpy as np

from fbnetv3.instances import Instances
from prelabel.labelstudio import shapes
from prelabel.labelstudio.shapes import rectangle, table
from prelabel.labelstudio.shapes.geometry import Drawn, Size, Value

SIZE = (60, 80)
KEY = "vertices"


def read(value: Value, image_size: Size) -> Drawn:
    return rectangle.read(value[KEY], image_size)


def write(instances: Instances, index: int, tolerance: float) -> Iterator[Value]:
    for value in rectangle.write(instances, index, tolerance):
        yield {KEY: value}


SHAPE = table.Shape("Vector", KEY, read, write, masks="unused")
table.SHAPES = shapes.SHAPES = (SHAPE, *table.SHAPES)
table.SHAPE_OF_TAG.update(dict.fromkeys(SHAPE.types, SHAPE))


def config(controls: str) -> str:
    return f'<View><Image name="image" value="$image"/>{controls}</View>'


LABELLED = config('<VectorLabels name="v" toName="image"><Label value="Disc"/></VectorLabels>')
PAIR = config(
    '<Vector name="v" toName="image"/><Labels name="l" toName="image"><Label value="Disc"/></Labels>'
)


def main() -> None:
    from prelabel.labels.edits import count_edits
    from prelabel.labelstudio.config.label_spec import LabelSpec
    from prelabel.labelstudio.config.object_controls import ObjectControls
    from prelabel.labelstudio.config.smart_tools import missing_tools
    from prelabel.labelstudio.config.unsupported import FILLED
    from prelabel.labelstudio.regions.annotations import to_objects
    from prelabel.labelstudio.regions.predictions import to_regions

    ones = np.ones(1, np.float32)
    box = np.array([[8, 6, 40, 30]], np.float32)
    found = Instances(SIZE, box, ones, np.zeros(1, np.int64), ("Disc",))
    seen = {}
    for name, xml in {"labelled": LABELLED, "pair": PAIR}.items():
        spec = LabelSpec.from_config(xml, ("Disc",), 0.5)
        regions = to_regions(found, spec.controls)
        read_back = to_objects(regions, ObjectControls.from_config(xml), "image", SIZE)
        seen[name] = {
            "notes": list(spec.notes),
            "types": [region["type"] for region in regions],
            "labels": [region["value"].get(SHAPE.labelled_type) for region in regions],
            "read back": [(one.label, list(one.box)) for one in read_back.objects],
            "left out": list(read_back.left_out),
            "edits": dict(count_edits(regions, regions).kept),
            "tools": missing_tools(xml).count("<Label "),
        }
    nothing = LabelSpec.from_config(config('<Vector name="v" toName="image"/>'), ("Disc",), 0.5)
    sys.stdout.write(json.dumps(seen | {"filled": FILLED, "alone": list(nothing.notes)}))


if __name__ == "__main__":
    main()
