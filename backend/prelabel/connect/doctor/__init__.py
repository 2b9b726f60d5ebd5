"""What `prelabel doctor` looks at: every link of the chain from the settings to predictions that show."""

from prelabel.connect.doctor.chain import CHAIN, examine
from prelabel.connect.doctor.examination import Examination
from prelabel.connect.doctor.findings import Finding, Status

__all__ = ["CHAIN", "Examination", "Finding", "Status", "examine"]
