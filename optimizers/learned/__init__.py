"""Learned optimizers: networks, and classical ones with learned hyper-parameters."""

from hopgym.optimizers.learned.learn2hop import FEATURES as FEATURES
from hopgym.optimizers.learned.learn2hop import Learn2Hop as Learn2Hop
from hopgym.optimizers.learned.mlp_opt import MLPOpt as MLPOpt
from hopgym.optimizers.learned.reparametrised import Reparametrised as Reparametrised
from hopgym.optimizers.learned.reparametrised import adam4p as adam4p
from hopgym.optimizers.learned.reparametrised import bh_step as bh_step
from hopgym.optimizers.learned.reparametrised import fire6p as fire6p
from hopgym.optimizers.learned.search import CHOICES as CHOICES
from hopgym.optimizers.learned.search import EXPERIENCE as EXPERIENCE
from hopgym.optimizers.learned.search import GROUPS as GROUPS
from hopgym.optimizers.learned.search import KNOWING as KNOWING
from hopgym.optimizers.learned.search import MOVE_KINDS as MOVE_KINDS
from hopgym.optimizers.learned.search import LearnedSearch as LearnedSearch
from hopgym.optimizers.learned.weights import ARCHITECTURES as ARCHITECTURES
from hopgym.optimizers.learned.weights import SUFFIX as SUFFIX
from hopgym.optimizers.learned.weights import list_trained as list_trained
from hopgym.optimizers.learned.weights import load as load
from hopgym.optimizers.learned.weights import make_untrained as make_untrained
from hopgym.optimizers.learned.weights import read_header as read_header
from hopgym.optimizers.learned.weights import save as save
