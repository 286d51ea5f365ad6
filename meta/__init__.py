"""Meta-training: evolution strategies and genetic algorithms over optimizers."""

from hopgym.meta.batched_unroll import BatchedUnroll as BatchedUnroll
from hopgym.meta.plan import TrainingPlan as TrainingPlan
from hopgym.meta.replayed_unroll import ReplayedUnroll as ReplayedUnroll
from hopgym.meta.strategies import STRATEGIES as STRATEGIES
from hopgym.meta.strategies import AbstractSettings as AbstractSettings
from hopgym.meta.strategies import AbstractStrategy as AbstractStrategy
from hopgym.meta.strategies import ESMCSettings as ESMCSettings
from hopgym.meta.strategies import ESSettings as ESSettings
from hopgym.meta.strategies import GASettings as GASettings
from hopgym.meta.strategies import PESSettings as PESSettings
from hopgym.meta.strategies import SepCMASettings as SepCMASettings
from hopgym.meta.trainer import Trainer as Trainer
from hopgym.meta.unroll import meta_loss as meta_loss
from hopgym.meta.unroll import scaled_loss as scaled_loss
