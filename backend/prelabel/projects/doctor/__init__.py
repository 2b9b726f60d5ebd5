"""What `prelabel doctor` looks at: every link of the chain from the settings to predictions that show."""

from prelabel.projects.doctor.chain import CHAIN, examine
from prelabel.projects.doctor.examination import Examination
from prelabel.projects.doctor.findings import Finding, Status

__all__ = ["CHAIN", "Examination", "Finding", "Status", "examine"]
