"""A testbed for optimisation over rough landscapes."""

from hopgym._cli import early as _early  # noqa: F401

# isort: split
# Not first from a module further down: where the stack of calls reaches the end of a
# chunk of memory, CPython 3.11 allocates and frees the next one for each call, which
# costs 0.3 s during this import.
import jax as _jax  # noqa: F401

# isort: split
from importlib.metadata import version

from hopgym._registration import register_ids
from hopgym.context import Context as Context
from hopgym.environment import Environment as Environment
from hopgym.environment import State as State
from hopgym.relax import Quenched as Quenched
from hopgym.relax import polish as polish
from hopgym.relax import quench as quench
from hopgym.rollout import Result as Result
from hopgym.rollout import Rollout as Rollout
from hopgym.rollout import rollout as rollout
from hopgym.structure_search.from_python import search as search
from hopgym.suites import Evaluation as Evaluation
from hopgym.suites import evaluate as evaluate
from hopgym.systems import System as System
from hopgym.systems import get_system as get_system
from hopgym.systems import register_system as register_system
from hopgym.systems import stack as stack
from hopgym.systems import system_names as system_names

__version__ = version("hopgym")

register_ids()
