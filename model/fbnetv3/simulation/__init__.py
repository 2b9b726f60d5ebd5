"""A labelled data set replayed as a person who accepts labels in rounds: what prelabel learns and saves."""

from fbnetv3.simulation.order_comparison import OrderComparison
from fbnetv3.simulation.orders import ORDERS
from fbnetv3.simulation.replay import Replay
from fbnetv3.simulation.replay_data import ReplayData, read_replay_data, replay_data
from fbnetv3.simulation.round_results import RoundResult, StartResult, report
from fbnetv3.simulation.settings import SimulationSettings
from fbnetv3.simulation.storage import SimulationError

__all__ = [
    "ORDERS",
    "OrderComparison",
    "Replay",
    "ReplayData",
    "RoundResult",
    "SimulationError",
    "SimulationSettings",
    "StartResult",
    "read_replay_data",
    "replay_data",
    "report",
]
