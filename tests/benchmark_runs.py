"""Runs of the benchmark in tests: small ones, with optimizers of a user."""

import json
import subprocess
import sys
from pathlib import Path

import jax

from benchmarks import run

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = ("--systems", "LJ-4", "--optimizers", "gd", "--starts", "3", "--steps", "40")
PLUGIN = '''
import time

import jax.numpy as jnp
from hopgym.optimizers import AbstractOptimizer


class Downhill(AbstractOptimizer):
    """A step of fixed length."""

    length: float = 0.02

    def init(self, positions, *, key, context):
        return None

    def update(self, gradient, state, positions, *, value, context):
        norm = jnp.sqrt(jnp.sum(gradient**2)) + 1e-9
        return -self.length * gradient / norm, None


class NotANumber(Downhill):
    def update(self, gradient, state, positions, *, value, context):
        return jnp.full_like(gradient, jnp.nan), None


class Flat(Downhill):
    def update(self, gradient, state, positions, *, value, context):
        return gradient.ravel(), None


class Annealed(Downhill):
    def __init__(self, system, steps):
        self.length = 1.0 / steps


def broken(system):
    raise RuntimeError("no idea how\\nto optimise " + system.name)


class Still(Downhill):
    def update(self, gradient, state, positions, *, value, context):
        return jnp.zeros_like(positions), None


class Endless(Downhill):
    def update(self, gradient, state, positions, *, value, context):
        time.sleep(600)


ready = Downhill(length=0.01)
tired = Downhill(length=0.0)
number = 3
'''


def write_plugin(folder):
    """A file with optimizers of a user."""
    path = folder / "own.py"
    path.write_text(PLUGIN)
    return path


def main(*arguments):
    """The exit code of a run in this process."""
    jax.devices()  # the benchmark asks for more devices where none are in use yet
    return run.main([str(argument) for argument in arguments])


def script(*arguments, **options):
    """A run in a process of its own."""
    command = [sys.executable, str(BENCHMARKS / "run.py"), *map(str, arguments)]
    options = {"capture_output": True, "text": True, "timeout": 300} | options
    return subprocess.run(command, **options)


def read_results(folder):
    """The first line of `results.jsonl`, with the others as `cells`."""
    head, *cells = map(json.loads, (folder / "results.jsonl").read_text().splitlines())
    return head | {"cells": cells}


def read_csv(folder, column):
    """A column of `results.csv`."""
    names, *rows = (folder / "results.csv").read_text().splitlines()
    index = names.split(",").index(column)
    return [row.split(",")[index] for row in rows]


def only_cell_file(folder):
    """The one file in `cells`."""
    (path,) = (folder / "cells").glob("*.json")
    return path
