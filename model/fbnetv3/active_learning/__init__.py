"""Which unlabelled image a person should label next."""

from fbnetv3.active_learning.images import PoolImage, pool_image, pool_image_of_features, pooled_features
from fbnetv3.active_learning.ranking import Ranking, with_random_share
from fbnetv3.active_learning.strategies import RANDOM_SHARE, STRATEGIES, Strategy

__all__ = [
    "RANDOM_SHARE",
    "STRATEGIES",
    "PoolImage",
    "Ranking",
    "Strategy",
    "pool_image",
    "pool_image_of_features",
    "pooled_features",
    "with_random_share",
]
