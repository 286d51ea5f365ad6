"""Strategies of meta-training by name."""

from hopgym.meta.strategies.base import AbstractStrategy as AbstractStrategy
from hopgym.meta.strategies.base import Settings as Settings
from hopgym.meta.strategies.es import ES as ES
from hopgym.meta.strategies.esmc import ESMC as ESMC
from hopgym.meta.strategies.ga import GA as GA
from hopgym.meta.strategies.pes import PES as PES

STRATEGIES: dict[str, type[AbstractStrategy]] = {
    "es": ES,
    "esmc": ESMC,
    "ga": GA,
    "pes": PES,
}
