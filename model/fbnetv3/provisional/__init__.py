"""A detector that knows a project's labels from the first accepted one on, before anything is trained.

The base weights propose regions and describe each by a vector; what is fitted, in a second and to a handful of images,
is the class of a region from its vector. Everything else of the network stays as it is.
"""

from fbnetv3.provisional.detector import provisional_detector
from fbnetv3.provisional.fitting import fit_head, start_head
from fbnetv3.provisional.head import RegionHead, read_head, write_head
from fbnetv3.provisional.left_out import left_out_findings, left_out_heads
from fbnetv3.provisional.operating_point import head_thresholds
from fbnetv3.provisional.regions import (
    LabelledRegions,
    labelled_regions,
    read_regions,
    regions_of_example,
    write_regions,
)

__all__ = [
    "LabelledRegions",
    "RegionHead",
    "fit_head",
    "head_thresholds",
    "labelled_regions",
    "left_out_findings",
    "left_out_heads",
    "provisional_detector",
    "read_head",
    "read_regions",
    "regions_of_example",
    "start_head",
    "write_head",
    "write_regions",
]
