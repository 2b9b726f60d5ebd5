"""prelabel: a Label Studio ML backend that pre-annotates boxes and masks."""

from importlib.metadata import version

__version__ = version("prelabel")
