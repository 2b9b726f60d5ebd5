"""COCO files as other tools write them, read so that the rest of the program finds clean COCO data.

What has one meaning is repaired, what has none is left out and named; docs/coco.md lists both.
"""

from fbnetv3.data.coco_files.archives import unpacked
from fbnetv3.data.coco_files.data_set import CocoDataSet
from fbnetv3.data.coco_files.reading import read_data_set

__all__ = ["CocoDataSet", "read_data_set", "unpacked"]
