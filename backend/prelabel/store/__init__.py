"""What prelabel keeps: one database. Every table has a module, imported here so that `open` creates it."""

from prelabel.store import actions as actions
from prelabel.store import events as events
from prelabel.store import label_counts as label_counts
from prelabel.store import project_settings as project_settings
from prelabel.store import provisional as provisional
from prelabel.store import review_decisions as review_decisions
from prelabel.store import runs as runs
from prelabel.store import versions as versions
