"""First hits of the benchmark: when a search is credited with a minimum."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.optimize import brentq

from hopgym import Environment, Rollout, get_system
from hopgym.evaluation import first_hits, run_cell
from hopgym.evaluation.plugins import Entry
from hopgym.optimizers import AbstractOptimizer, GradientDescent, zoo
from hopgym.relax import quench

STEPS = 600  # checkpoints after 251, 501 and 601 evaluations
POLISH = 1001
NEVER = 10**6
KEY = jax.random.key(0)


class Script(AbstractOptimizer):
    """Jumps to given structures, and stays at each until the next one's time.

    **Arguments:**

    - `starts`: initial positions, by which a replica finds its row in the others.
    - `times`: number of the evaluation of each structure, in order.
    - `structures`: the structures.
    """

    starts: Array
    times: Array
    structures: Array

    def init(self, positions, *, key, context):
        distances = jnp.sum(jnp.abs(self.starts - positions), axis=(1, 2))
        return jnp.argmin(distances), jnp.asarray(1)

    def update(self, gradient, state, positions, *, value, context):
        row, evaluation = state[0], state[1] + 1
        index = jnp.searchsorted(self.times[row], evaluation, side="right") - 1
        return self.structures[row, index] - positions, (row, evaluation)


def write_script(system, structures, rows):
    """The script that follows a row, `{evaluation: structure}`, from each start."""
    first = Rollout(Environment(system), GradientDescent(), KEY, len(rows))
    times = [[*row, NEVER][:2] for row in rows]
    names = [[*row.values(), *row.values()][:2] for row in rows]
    places = jnp.stack([jnp.stack([structures[n] for n in pair]) for pair in names])
    return Script(first.state.positions, jnp.asarray(times), places)


@pytest.fixture(scope="module")
def system():
    return get_system("LJ-6")


@pytest.fixture(scope="module")
def structures(system):
    """Structures of LJ-6: both minima, and stretched ones in the basin of the lowest.

    `near` is 0.05 above the lowest minimum, `far` is above the other minimum.
    """
    samples = jax.vmap(system.sample)(jax.random.split(jax.random.key(0), 200))
    quenched = quench(system, samples)
    energies = np.asarray(quenched.energy)
    lowest = quenched.positions[energies.argmin()]
    other = quenched.positions[np.argmax(energies > energies.min() + 0.1)]
    assert system.energy_and_gradient(other)[0] == pytest.approx(-12.3029, abs=1e-3)
    centre = jnp.mean(lowest, axis=0)

    def stretch(energy):
        def excess(factor):
            positions = centre + factor * (lowest - centre)
            return float(system.energy_and_gradient(positions)[0]) - energy

        factor: Any = brentq(excess, 1, 1.2, xtol=1e-6)
        return centre + factor * (lowest - centre)

    reference = float(system.reference)
    return {
        "lowest": lowest,
        "other": other,
        "near": stretch(reference + 0.05),
        "far": stretch(reference + 0.8),
    }


def run(system, optimizer, starts, steps=STEPS):
    entry = Entry("own", lambda system, steps: optimizer)
    spec = run_cell.CellSpec(system, entry, starts, steps, 0)
    return run_cell.run(spec, optimizer, lambda *_: None, lambda _: None)


# The script; the exact number of evaluations, or the checkpoint and the structure whose
# quench is added to it; all structures that are quenched.
CASES = {
    "hovers": ({2: "near"}, (251, "near"), ["near"]),
    "hovers later": ({2: "other", 400: "near"}, (501, "near"), ["other", "near"]),
    "exact": ({2: "other", 400: "lowest"}, (400, None), ["other", "lowest"]),
    "exact at a checkpoint": ({2: "other", 251: "lowest"}, (251, None), ["lowest"]),
    "exact after it": (
        {2: "other", 252: "lowest"},
        (252, None),
        ["other", "lowest"],
    ),
    "exact before the quench ends": (
        {2: "near", 255: "lowest"},
        (255, None),
        ["near", "lowest"],
    ),
    "exact after the quench ends": (
        {2: "near", 590: "lowest"},
        (251, "near"),
        ["near", "lowest"],
    ),
    "lost again": ({2: "far", 300: "other"}, (251, "far"), ["far", "other"]),
    "at the end": ({2: "other", 550: "near"}, (601, "near"), ["other", "near"]),
    "never": ({2: "other"}, (-1, None), ["other"]),
}


def test_first_hits(system, structures):
    names = list(structures)
    batch = jnp.stack([structures[name] for name in names])
    spent = dict(zip(names, quench(system, batch).evaluations.tolist(), strict=True))

    scripts = [script for script, *_ in CASES.values()]
    cell = run(system, write_script(system, structures, scripts), len(CASES))
    post = 0
    for (name, (script, (expected, added), quenched)), found, energy in zip(
        CASES.items(), cell["first_hit"], cell["energies"], strict=True
    ):
        if added is None:
            assert found == expected, name
        else:
            # Jumps round the structures: a quench may take another step.
            assert abs(found - expected - spent[added]) <= 2, name
        post += POLISH + sum(spent[structure] for structure in quenched)
        last = -12.302928 if script[max(script)] == "other" else -12.712062
        assert energy == pytest.approx(last, abs=1e-3), name
    assert cell["evaluations_post"] == pytest.approx(post, abs=2 * len(CASES))
    first = np.asarray(cell["first_hit"])
    assert cell["hits"] == (first > 0).sum() == len(CASES) - 1
    total = np.sum(np.where(first > 0, first, STEPS + 1))
    assert cell["evaluations_to_hit"] == pytest.approx(total / cell["hits"], abs=0.05)


@pytest.mark.parametrize("memory", [first_hits.MEMORY, 0])
def test_all_checkpoints(memory, monkeypatch):
    """As if all best structures were quenched at all checkpoints."""
    monkeypatch.setattr(first_hits, "MEMORY", memory)
    system, starts, steps = get_system("LJ-7"), 8, 1100
    optimizer = zoo.build(zoo.ZOO["annealing"], system, steps)
    cell = run(system, optimizer, starts, steps)

    search = Rollout(Environment(system), optimizer, KEY, starts)
    expected = np.full(starts, -1)
    for done in (250, 500, 750, 1000, 1100):
        search.advance(done - int(search.state.step[0]))
        quenched = quench(system, search.state.best_positions)
        first = np.asarray(system.is_hit(quenched.energy)) & (expected < 0)
        expected[first] = (done + 1 + np.asarray(quenched.evaluations))[first]
    met = np.asarray(search.state.first_hit)
    expected = np.where((expected > 0) & (met > 0), np.minimum(met, expected), expected)
    assert 0 < (expected > 0).sum() < starts
    assert len({*expected}) > 3
    assert cell["first_hit"] == expected.tolist()


def test_an_encounter_of_another_minimum_does_not_count(system, structures):
    """With a wide margin, an encounter is confirmed at the next checkpoint."""
    wide = eqx.tree_at(lambda s: s.energy_unit, system, 100.0 * system.energy_unit)
    script = write_script(wide, structures, [{2: "other", 400: "lowest"}] * 2)
    assert Environment(wide).reset(KEY, structures["other"]).first_hit == 1
    assert min(run(wide, script, 2)["first_hit"]) > 501


def test_without_a_reference(system, structures):
    unknown = eqx.tree_at(lambda s: s.reference, system, jnp.nan * system.reference)
    script = write_script(unknown, structures, [{2: "other"}] * 2)
    cell = run(unknown, script, 2, 2)
    assert cell["hits"] is None and cell["first_hit"] == [-1, -1]


@pytest.mark.parametrize("steps", [1, 7, 250, 2000, 50_000, 10**7])
def test_chunks_end_at_checkpoints(steps):
    chunk = run_cell.choose_chunk(steps)
    assert first_hits.INTERVAL % chunk == 0
    assert chunk == first_hits.INTERVAL or steps / chunk <= 3 * run_cell.CHUNKS
