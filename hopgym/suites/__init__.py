"""Versioned benchmark suites, entries to them, and the leaderboard."""

from hopgym.suites.evaluate import Evaluation as Evaluation
from hopgym.suites.evaluate import evaluate as evaluate
from hopgym.suites.registry import SUITES as SUITES
from hopgym.suites.registry import get_suite as get_suite
from hopgym.suites.suite import Suite as Suite
