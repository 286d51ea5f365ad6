"""Strategies of meta-training, by name."""

from hopgym._suggest import describe_unknown_name
from hopgym.meta.strategies.base import AbstractSettings as AbstractSettings
from hopgym.meta.strategies.base import AbstractStrategy as AbstractStrategy
from hopgym.meta.strategies.es import ES as ES
from hopgym.meta.strategies.es import ESSettings as ESSettings
from hopgym.meta.strategies.esmc import ESMC as ESMC
from hopgym.meta.strategies.esmc import ESMCSettings as ESMCSettings
from hopgym.meta.strategies.ga import GA as GA
from hopgym.meta.strategies.ga import GASettings as GASettings
from hopgym.meta.strategies.pes import PES as PES
from hopgym.meta.strategies.pes import PESSettings as PESSettings
from hopgym.meta.strategies.sep_cma import SepCMA as SepCMA
from hopgym.meta.strategies.sep_cma import SepCMASettings as SepCMASettings

STRATEGIES: dict[str, type[AbstractStrategy]] = {
    "es": ES,
    "esmc": ESMC,
    "ga": GA,
    "pes": PES,
    "sep-cma": SepCMA,
}


def get_strategy(name: str) -> type[AbstractStrategy]:
    """Get a class in `STRATEGIES`.

    **Raises:** `KeyError` for an unknown name, with the most similar known ones.
    """
    if name not in STRATEGIES:
        raise KeyError(describe_unknown_name("strategy", name, list(STRATEGIES)))
    return STRATEGIES[name]
