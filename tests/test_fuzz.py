"""Any structure and any action: energies, gradients and environments stay finite."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fuzzing import FINITE, FLOATS, SEEDS, fuzz, structures
from hypothesis import strategies as st
from potential_cases import CASES

import hopgym
from hopgym import native
from hopgym.gymnasium import ClusterEnv
from hopgym.rl import MDP

pytestmark = pytest.mark.optimised

ATOMS = 7
BACKENDS = ["xla", *(["native"] if native.backend() == "native" else [])]
SYSTEMS = ("LJ-7", "Morse14-7", "Gupta-Ag3Au4", "SW-Si8")


@functools.cache
def compile_with(kind, potential, atoms):
    """Compiled energies and gradients of one backend."""
    if potential in CASES:
        make, species, box, spacing = CASES[potential]
        surface, box = make(), None if box is None else jnp.asarray(box, float)
        least = -jnp.inf
    else:
        system = hopgym.get_system(potential)
        surface, species, box = system.potential, system.species, system.box
        spacing = float(system.length)
        least = float(system.reference - system.tolerance)
    with native.using(kind):
        compiled = (
            jax.jit(
                lambda x: surface.energy_and_gradient(
                    x, jnp.asarray(species, jnp.int32), box
                )
            )
            .lower(jnp.zeros((atoms, 3)))
            .compile()
        )
    return compiled, spacing, least


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("name", [*CASES, "LJ-7", "Morse14-7", "SW-Si8"])
@fuzz(30, data=st.data())
def test_energies(name, kind, data):
    atoms = ATOMS + (name == "SW-Si8")
    evaluate, spacing, least = compile_with(kind, name, atoms)
    positions = data.draw(structures(atoms, spacing))
    energy, gradient = evaluate(jnp.asarray(positions))
    assert np.isfinite(energy) and np.all(np.isfinite(gradient))
    # Where it is lower, a new minimum was found.
    assert not energy < least


@functools.cache
def compile_environment(name):
    mdp = MDP(hopgym.Environment(hopgym.get_system(name)), observation="neighbours")
    begin = eqx.filter_jit(lambda positions: mdp.reset(jax.random.key(0), positions))
    step = eqx.filter_jit(mdp.step)
    update = eqx.filter_jit(mdp.environment.step)
    see = eqx.filter_jit(lambda a, b: (mdp.observe_vector(b), mdp.compute_reward(a, b)))
    return mdp, begin, step, update, see


@pytest.mark.parametrize("name", SYSTEMS)
@fuzz(20, data=st.data())
def test_steps(name, data):
    mdp, begin, step, update, see = compile_environment(name)
    system = mdp.environment.system
    size = 3 * system.atoms
    positions = data.draw(structures(system.atoms, float(system.length)))
    state = begin(jnp.asarray(positions))
    faults = 0
    for _ in range(data.draw(st.integers(1, 3))):
        numbers = data.draw(st.lists(FLOATS, min_size=size, max_size=size))
        values = np.array(numbers, np.float32).reshape(-1, 3)
        before, move = state, data.draw(st.sampled_from([step, update]))
        state = move(before, jnp.asarray(values))
        faults += int(np.sum(~np.isfinite(values)))
        for leaf in jax.tree.leaves(state):
            assert np.all(np.isfinite(leaf))
        assert state.faults == faults
        assert state.best_energy <= before.best_energy
        seen, reward = see(before, state)
        assert np.all(np.abs(seen) <= mdp.bound_vector()) and np.isfinite(reward)


@functools.cache
def make_env():
    env = ClusterEnv("LJ-3")
    env.reset(seed=0)
    return env


ACTIONS = (
    st.lists(FLOATS, min_size=9, max_size=9)
    | st.lists(FINITE, min_size=9, max_size=9)
    | st.lists(FLOATS, max_size=12)
    | st.lists(st.integers(), min_size=9, max_size=9)
    | st.text(max_size=3)
    | st.none()
    | st.complex_numbers()
    | st.lists(st.lists(FLOATS, max_size=3), max_size=3)
)


@fuzz(60, action=ACTIONS)
def test_actions_of_gymnasium(action):
    """They are taken, and everything is finite, or the state is as it was."""
    env = make_env()
    before = env.state
    try:
        observation, reward, *_ = env.step(action)
    except ValueError:
        assert env.state is before
    else:
        assert observation in env.observation_space and np.isfinite(reward)
        assert env.state.step == before.step + 1


@pytest.mark.usefixtures("unchecked")
@fuzz(
    60,
    seed=st.none() | st.integers() | FLOATS | st.text(max_size=2) | SEEDS,
    options=st.none()
    | st.dictionaries(
        st.sampled_from(["positions", "position"]),
        st.lists(st.lists(FLOATS, min_size=3, max_size=3), max_size=3)
        | st.text(max_size=2),
        max_size=1,
    ),
)
def test_resets_of_gymnasium(seed, options):
    env = make_env()
    try:
        observation, info = env.reset(seed=seed, options=options)
    except ValueError:
        return
    assert observation in env.observation_space
    assert np.isfinite(info["energy"]) and info["faults"] == 0
