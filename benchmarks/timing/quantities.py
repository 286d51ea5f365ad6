"""The quantities that can be timed, and their implementations."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.timing import external, learned_step, per_atom
from benchmarks.timing.implementations import (
    CONTENDERS,
    Programs,
    Unsupported,
    compile_evaluations,
    trace_for,
)
from hopgym import System, native
from hopgym._cli.lookup import check_names

# By the name of a contender: a function that compiles its programs anew.
Contest = dict[str, Callable[[], Programs]]


class Quantity(NamedTuple):
    """A quantity that can be timed.

    **Arguments:**

    - `title`: name in the rows.
    - `systems`, `contenders`: defaults.
    - `known`: all available contenders.
    """

    title: str
    systems: tuple[str, ...]
    contenders: tuple[str, ...]
    known: tuple[str, ...]


ALL_LANDSCAPES = ("LJ-13", "LJ-38", "LJ-75", "Gupta-Au55", "SW-Si64")
QUANTITIES = {
    "energy": Quantity(
        "energy+gradient",
        ALL_LANDSCAPES,
        ("native", "xla", "jax-md"),
        (*CONTENDERS, *external.EXTERNAL),
    ),
    "atom-energies": Quantity(
        "energies of atoms", ALL_LANDSCAPES, ("native", "xla"), ("native", "xla")
    ),
    "radial": Quantity(
        "radial functions",
        ALL_LANDSCAPES,
        ("native", "xla", "jax-md"),
        ("native", "xla", "jax-md"),
    ),
    "learned-step": Quantity(
        "learned step",
        ("LJ-13", "LJ-38", "LJ-75"),
        ("xla", "naive"),
        ("native", "xla", "naive"),
    ),
}


def make_programs(quantity: str, name: str, system: System, dtype: str) -> Programs:
    """Make the compiled programs of a contender.

    **Raises:** `Unsupported` if it cannot compute the system.
    """
    length = float(system.length)
    if quantity == "energy" and name in external.EXTERNAL:
        if dtype != "float64":
            raise Unsupported(
                f"{name} computes in double precision: add --dtype float64"
            )
        return external.loop_evaluations(external.EXTERNAL[name](system), length)
    if quantity == "energy":
        return compile_evaluations(CONTENDERS[name](system), length)
    if quantity != "learned-step":
        return per_atom.make_programs(quantity, name, system)
    if not system.name.startswith("LJ-"):
        raise Unsupported(
            f"learned steps are compared on LJ clusters, not {system.name}"
        )
    forces = CONTENDERS["xla"](system)
    reference = CONTENDERS["jax-md"](system)
    made = learned_step.make_programs(name, system, forces, reference)
    if name == "naive":
        return made
    CONTENDERS[name](system)  # raises Unsupported
    return Programs(*(trace_for(name, program) for program in made))


def choose_contest(
    quantity: str, system: System, names: Sequence[str] | None, dtype: str
) -> Contest:
    """Choose the contenders for a system.

    **Arguments:**

    - `quantity`: a name in `QUANTITIES`.
    - `system`: the system.
    - `names`: names of the contenders; `None` for the defaults, without `native` if
      there is no kernel.
    - `dtype`: precision.

    **Raises:** `ValueError` for an unknown contender, one that cannot compute the
    system, or if jax-md is required but not installed.
    """
    known = QUANTITIES[quantity]
    chosen = known.contenders if names is None else names
    check_names("contender", chosen, known.known)
    needed = {"jax-md", "naive"} & {*chosen}
    if needed and importlib.util.find_spec("jax_md") is None:
        raise ValueError(
            f"contender {needed.pop()!r} needs the package jax-md: pip install jax-md, "
            "or leave it out with --contenders xla"
        )
    contest: Contest = {}
    for name in chosen:

        def make(name: str = name) -> Programs:
            return make_programs(quantity, name, system, dtype)

        try:
            make()  # raises Unsupported
        except Unsupported:
            if name != "native" or names is not None:
                raise
            continue
        contest[name] = make
    return contest


def spread_over_cores(make: Callable[[], Programs], cores: int) -> Contest:
    """Contenders that run kernels on one thread and on several."""
    return {
        "one core": lambda: use_threads(make(), 1),
        "one core, halves": lambda: use_threads(make(), 1, 2),
        f"{cores} cores": lambda: use_threads(make(), cores),
    }


def use_threads(programs: Programs, count: int, parts: int = 1) -> Programs:
    """Limit the threads of kernels, and run parts of the batch in turn."""

    def limit(program: Callable) -> Callable:
        def call(positions, *more):
            with native.threads(count):
                done = [
                    jax.block_until_ready(program(x, *more))
                    for x in jnp.array_split(positions, parts)
                ]
            return jax.tree.map(lambda *x: jnp.concatenate(x), *done)

        return call

    return Programs(*(limit(program) for program in programs))
