"""What `prelabel doctor` looks at: every link of the chain from the settings to predictions that show."""

from prelabel.connect.doctor.chain import CHAIN, examine
from prelabel.connect.doctor.check_results import CheckedLink, Status
from prelabel.connect.doctor.examination import Examination

__all__ = ["CHAIN", "CheckedLink", "Examination", "Status", "examine"]
