"""What is refused at the public doors, with the same error on both backends."""

# Wrong types are passed on purpose.
# pyright: reportArgumentType=false

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from kernel_cases import needs_kernels
from potential_cases import scattered

import hopgym
from hopgym import optimizers
from hopgym._keys import unwrap_keys
from hopgym.potentials import Gupta, LennardJones, Morse, SoftSphere, StillingerWeber
from hopgym.structure_search.formula import resolve_system_name
from hopgym.systems import HarmonicStart

GOLD = {"a": [[0.2]], "xi": [[1.8]], "p": [[10.0]], "q": [[4.0]], "d0": [[2.9]]}
NONE = jnp.zeros(7, jnp.int32)


@pytest.fixture(autouse=True)
def untyped():
    """As users call it: annotations are not checked."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def environment():
    return hopgym.Environment(hopgym.get_system("LJ-7"))


@pytest.mark.parametrize("name", ["xla", pytest.param("native", marks=needs_kernels)])
@pytest.mark.parametrize(
    ("potential", "positions", "species", "box", "message"),
    [
        (LennardJones(), np.zeros((0, 3)), NONE[:0], None, "at least one atom"),
        (LennardJones(), np.zeros((7, 2)), NONE, None, "shape"),
        (LennardJones(), np.zeros((7, 3), int), NONE, None, "float32 or float64"),
        (LennardJones(), np.zeros((7, 3), bool), NONE, None, "float32 or float64"),
        (LennardJones(), np.zeros((7, 3), np.float16), NONE, None, "float16"),
        (LennardJones(), np.zeros((7, 3), complex), NONE, None, "complex"),
        (LennardJones(), "positions", NONE, None, "must be an array"),
        (LennardJones(), np.zeros((7, 3)), NONE[:6], None, "one for each atom"),
        (LennardJones(), np.zeros((7, 3)), NONE - 1, None, "not negative"),
        (LennardJones(), np.zeros((7, 3)), NONE + 0.5, None, "integers"),
        (Gupta(**GOLD), np.zeros((7, 3)), NONE.at[1].set(1), None, "must be 0"),
        (LennardJones(), np.zeros((7, 3)), NONE, [9.0] * 3, "free space"),
        (StillingerWeber(), np.zeros((7, 3)), NONE, None, "needs a box"),
        (StillingerWeber(), np.zeros((7, 3)), NONE, [9.0, 9.0], "three"),
        (StillingerWeber(), np.zeros((7, 3)), NONE, [9, 9, 0.0], "positive"),
        (StillingerWeber(), np.zeros((7, 3)), NONE, [9, 9, -9.0], "positive"),
        (StillingerWeber(), np.zeros((7, 3)), NONE, [9, 9, np.nan], "positive"),
        (SoftSphere(), np.zeros((7, 3)), NONE, [9, 9, np.inf], "positive"),
    ],
)
def test_arguments_of_potentials(
    backend, name, potential, positions, species, box, message
):
    backend(name)
    box = None if box is None else jnp.asarray(box)
    for function in (potential.energy_and_gradient, potential.atom_energies):
        with pytest.raises(ValueError, match=message):
            function(positions, species, box)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LennardJones(core=0),
        lambda: LennardJones(core=1e-3),
        lambda: LennardJones(d0=0),
        lambda: LennardJones(epsilon=np.nan),
        lambda: LennardJones(epsilon=-1),
        lambda: LennardJones(d0=[1.0, np.inf]),
        lambda: LennardJones(d0=1j),
        lambda: Morse(50),
        lambda: Morse(0),
        lambda: Morse("six"),
        lambda: SoftSphere(alpha=1),
        lambda: StillingerWeber(sigma=-1),
        lambda: StillingerWeber(images=2**40),
        lambda: StillingerWeber(images=0.5),
        lambda: Gupta(**GOLD | {"p": [[np.inf]]}),
        lambda: Gupta(**GOLD | {"p": [10.0]}),
        lambda: Gupta(**{k: [[1.0, 2.0], [3.0, 1.0]] for k in GOLD}),
        lambda: HarmonicStart(rate=-1),
        lambda: HarmonicStart(steps=1.5),
        lambda: optimizers.LBFGS(memory=-1),
        lambda: optimizers.LBFGS(memory=0),
        lambda: optimizers.LBFGS(memory=2**40),
        lambda: optimizers.LBFGS(patience=1.5),
        lambda: optimizers.LBFGS(max_step=np.nan),
        lambda: optimizers.GradientDescent(rate=-1),
        lambda: optimizers.adam(learning_rate=np.nan),
        lambda: optimizers.adam(learning_rate=-1),
        lambda: optimizers.rmsprop(decay=1.5),
        lambda: optimizers.Fire(dt_start=0),
        lambda: optimizers.FireAse(max_step=-1),
        lambda: optimizers.Annealing(0),
        lambda: optimizers.Annealing(2**40),
        lambda: optimizers.Annealing(10, quench=1),
        lambda: optimizers.FixedLength(optimizers.adam(), 0),
        lambda: optimizers.TwoPhase(optimizers.LBFGS(), pressure=-1),
        lambda: optimizers.Shake(-1),
        lambda: optimizers.Mixture((optimizers.Exchange(),), (0,)),
        lambda: optimizers.cma_es(population=2**40),
        lambda: optimizers.cma_es(spread=0),
        lambda: optimizers.open_es(learning_rate=np.nan),
        lambda: optimizers.bh_lbfgs(hopgym.get_system("LJ-7"), surface=2),
        lambda: optimizers.bh_lbfgs(hopgym.get_system("LJ-7"), temperature=-1),
    ],
)
def test_parameters(make):
    with pytest.raises(ValueError, match=r"must|needed|needs|between|at least"):
        make()


def test_parameters_may_be_unknown_or_a_batch():
    depths = jnp.array([1.0, 2.0])
    species, positions = NONE[:3], jnp.asarray(scattered(3, 1.1), float)

    @jax.jit
    def energy(depth):
        potential = LennardJones(epsilon=depth)
        return potential.energy_and_gradient(positions, species, None)[0]

    together = jax.vmap(energy)(depths)
    np.testing.assert_allclose(together[1], 2 * together[0], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(energy)(1.0), together[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"species": [0]}, "at least 2 atoms"),
        ({"species": [0, 1]}, "index the elements"),
        ({"species": [0, 0.5]}, "integers"),
        ({"species": [0, 1], "elements": ("Au", "Ag")}, "have parameters"),
        ({"length": np.nan}, "length"),
        ({"energy_scale": 0}, "energy_scale"),
        ({"reference": np.inf}, "reference"),
        ({"box": [9, 9, np.inf]}, "three positive edges"),
        ({"box": [9, 9]}, "three edges"),
        ({"box": [9, 9, 9]}, "free space"),
        ({"potential": "gupta"}, "AbstractPotential"),
    ],
)
def test_systems(change, message):
    given = {"name": "Au", "potential": Gupta(**GOLD), "species": [0, 0]}
    given |= {"start": HarmonicStart(), "energy_scale": 1.0}
    with pytest.raises(ValueError, match=message):
        hopgym.System(**given | change)


def test_what_is_no_system(environment):
    key = jax.random.key(0)
    with pytest.raises(KeyError, match="string"):
        hopgym.get_system(5)
    with pytest.raises(ValueError, match="needs a system"):
        hopgym.Environment("LJ-7")
    with pytest.raises(ValueError, match="needs an environment"):
        hopgym.rollout(environment.system, optimizers.LBFGS(), key, 2, 5)
    with pytest.raises(ValueError, match="needs a system"):
        optimizers.make_optimizer("adam", system="LJ-7", steps=5)
    for steps in (0, 1.5, 2**40, True):
        with pytest.raises(ValueError, match="steps"):
            optimizers.make_optimizer("adam", system=environment.system, steps=steps)
        with pytest.raises(ValueError, match="steps"):
            hopgym.rollout(environment, optimizers.LBFGS(), key, 2, steps)
    with pytest.raises(ValueError, match="starts"):
        hopgym.rollout(environment, optimizers.LBFGS(), key, 2**40, 5)


def test_states_and_positions_of_others(environment):
    key = jax.random.key(0)
    other = hopgym.Environment(hopgym.get_system("LJ-8"))
    state = jax.eval_shape(other.reset, key)
    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)
    with pytest.raises(ValueError, match="LJ-7: a state"):
        environment.step(state, jnp.zeros((8, 3)))
    with pytest.raises(ValueError, match="LJ-7: positions"):
        environment.system.energy_and_gradient(jnp.zeros((8, 3)))
    for positions in (np.zeros((7, 3), bool), np.zeros((7, 3), complex)):
        with pytest.raises(ValueError, match="real numbers"):
            environment.reset(key, positions)
    whole = np.arange(21).reshape(7, 3)
    assert environment.reset(key, whole).positions.dtype == jnp.float32


@pytest.mark.parametrize("first", [False, True])
def test_precision_that_changed(first):
    key = jax.random.key(0)
    with jax.enable_x64(first):
        environment = hopgym.Environment(hopgym.get_system("LJ-3"))
    with jax.enable_x64(not first):
        for door in (
            lambda: environment.system.sample(key),
            lambda: environment.reset(key),
            lambda: environment.reset(key, np.eye(3)),
            lambda: hopgym.rollout(environment, optimizers.LBFGS(), key, 2, 5),
        ):
            with pytest.raises(ValueError, match="jax_enable_x64"):
                door()


@pytest.mark.parametrize("name", ["bh-lbfgs", "cma-es"])
def test_both_kinds_of_keys_give_the_same_runs(environment, name):
    optimizer = optimizers.make_optimizer(name, system=environment.system, steps=60)
    typed, raw = (
        unwrap_keys(hopgym.Rollout(environment, optimizer, make(3), 2).arrays())[0]
        for make in (jax.random.key, jax.random.PRNGKey)
    )
    jax.tree.map(np.testing.assert_array_equal, typed, raw)
    for key in (0, jax.random.split(jax.random.key(0)), jnp.zeros(2)):
        with pytest.raises(ValueError, match=r"one random key"):
            environment.reset(key)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("Au99999999999999999999", "10000 atoms"),
        ("Au" + "9" * 5000, "10000 atoms"),
        ("LJ99999999999", "10000 atoms"),
        ("Gupta-Au99999999999", "10000 atoms"),
        ("LJ-999999999999", "10000 atoms"),
        ("Au6000Ag6000", "10000 atoms"),
        ("AU13", "did you mean Au13"),
        ("AG19AU19", "did you mean Ag19Au19"),
        ("SI8", "did you mean Si8"),
        ("lj38", "did you mean LJ38"),
        ("H2O", "for H-O; there are sets for the metals Ag, Au, Pd, Pt"),
    ],
)
def test_formulas(formula, message):
    with pytest.raises(ValueError, match=message) as caught:
        resolve_system_name(formula, None)
    assert len(str(caught.value)) < 200
