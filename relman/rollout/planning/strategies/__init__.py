"""Divide a fleet into waves; each strategy is one file and one entry here."""

from relman.model.strategy import StrategyKind
from relman.rollout.planning.strategies import all_at_once, blue_green, canary, rolling
from relman.rollout.planning.strategies.batches import Divide

WAVES: dict[StrategyKind, Divide] = {
    StrategyKind.ROLLING: rolling.waves,
    StrategyKind.CANARY: canary.waves,
    StrategyKind.ALL_AT_ONCE: all_at_once.waves,
    StrategyKind.BLUE_GREEN: blue_green.waves,
}
