"""Optimizers that are learned: networks, their weights, and tuned classical ones."""

from hopgym.optimizers.learned.learn2hop import FEATURES as FEATURES
from hopgym.optimizers.learned.learn2hop import Learn2Hop as Learn2Hop
from hopgym.optimizers.learned.mlp_opt import MLPOpt as MLPOpt
from hopgym.optimizers.learned.reparametrised import Reparametrised as Reparametrised
from hopgym.optimizers.learned.reparametrised import adam4p as adam4p
from hopgym.optimizers.learned.reparametrised import bh_step as bh_step
from hopgym.optimizers.learned.reparametrised import fire6p as fire6p
from hopgym.optimizers.learned.weights import ARCHITECTURES as ARCHITECTURES
from hopgym.optimizers.learned.weights import about as about
from hopgym.optimizers.learned.weights import load as load
from hopgym.optimizers.learned.weights import new as new
from hopgym.optimizers.learned.weights import save as save
from hopgym.optimizers.learned.weights import trained as trained
