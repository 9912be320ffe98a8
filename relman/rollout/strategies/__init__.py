"""How a fleet is divided into waves; each strategy is one file and one entry here."""

from relman.rollout.strategies import rolling

WAVES = {"rolling": rolling.waves}
