"""What prelabel keeps: one database. Every table has a module, imported here so that `open` creates it."""

from prelabel.store import events as events
