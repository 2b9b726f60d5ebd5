"""What the pictures of simulations are drawn with: matplotlib, which is installed with the extra `plots`."""

from __future__ import annotations

from fbnetv3.simulation.storage import SimulationError

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise SimulationError(
        "a simulation draws its curves with matplotlib, which is not installed: pip install matplotlib"
    ) from error

__all__ = ["Axes", "Figure"]
