"""The paper's learned optimizer: a small network applied to every coordinate.

A. Merchant, L. Metz, S. S. Schoenholz and E. D. Cubuk, *Learn2Hop*, ICML 2021,
sections 3.1 and 3.3, appendix D.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym import native
from hopgym._checks import check_integer
from hopgym._converters import to_float
from hopgym._suggest import describe_unknown_name
from hopgym.cell import Cell
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.learned import kernel
from hopgym.optimizers.learned.input_scaling import log_magnitude, soft_sign
from hopgym.optimizers.learned.network import MAX_DEPTH, MAX_HIDDEN, Network
from hopgym.optimizers.learned.radial import ETAS, ROW_MULTIPLE, radial_functions

# Table 1 of the paper.
FEATURES = (
    "gradients",
    "positions",
    "decays",
    "adam",
    "singular",
    "species",
    "step",
    "radial",
)
DECAYS = (0.5, 0.9, 0.99, 0.999, 0.9999)
PERIODS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
EPSILON = 1e-10  # added to second moments, (energy / length)^2 in reduced units
# Components of the reduced gradient are clipped to this, about the gradient of a pair
# at a distance of 0.7: otherwise an overlap would dominate the averages for tens of
# thousands of steps.
GRADIENT_LIMIT = 1e3
DIRECTION_LIMIT = 20.0  # of the output d
ATOMS_UNIT = 100.0  # the input "singular" is the number of atoms divided by this


class Learn2HopState(eqx.Module):
    """Moving averages of the gradient and of its square, and the number of updates.

    Components are ordered as x of all atoms, then y, then z, and padded with zeros.
    """

    first: Float[Array, "decays components"]
    second: Float[Array, "decays components"]
    step: Int[Array, ""]


class Learn2Hop(AbstractOptimizer[Learn2HopState]):
    """A perceptron with weights shared by all coordinates.

    With the outputs m and d of the network, the displacement of a coordinate is

        alpha clip(d, -20, 20) sigmoid(beta m + gamma)   (Eq. 2)

    in the system's unit of length. The inputs are in reduced units as well, so that
    weights transfer between potentials. The groups of inputs are (Table 1):

    - `gradients`, `positions`: the components; positions are relative to the centroid
      or, in a periodic box, wrapped about its centre.
    - `decays`: moving averages m of the gradient and v of its square,
      m <- r m + (1 - r) g, with decay rates r = 0.5, 0.9, 0.99, 0.999 and 0.9999.
    - `adam`: (v + 1e-10)^(-1/2) and m (v + 1e-10)^(-1/2).
    - `singular`: number of atoms / 100.
    - `species`: one-hot encoding of two species.
    - `step`: sin(t / tau), tau = 1, 3, 10, ..., 10000.
    - `radial`: [symmetry functions][hopgym.optimizers.learned.radial.radial_functions]
      of the atom, over all neighbours and over those of the other species.

    Each input x of a component and each symmetry function is passed to the network as
    two numbers: log|x| / 10, at least -1; and the sign of x, or x e^10 where
    |x| < e^-10.

    **Arguments:**

    - `key`: random key of the initial weights; those of the output layer are zero, so
      that an untrained optimizer does not move atoms.
    - `features`: groups of inputs; by default all.
    - `kinds`: 2, or 1 for a network that does not distinguish species: `species` and
      the functions of unlike neighbours are omitted.
    - `hidden`, `depth`: width of the hidden layers, and number of dense layers.

    **Raises:** `ValueError` for an unknown feature, no features, `kinds` other than 1
    and 2, `hidden` outside of 1 to 4096 or `depth` outside of 2 to 64.
    """

    network: Network
    log_alpha: Float[Array, ""]
    beta: Float[Array, ""]
    gamma: Float[Array, ""]
    features: tuple[str, ...] = eqx.field(static=True)
    kinds: int = eqx.field(static=True)

    def __init__(
        self,
        key: PRNGKeyArray,
        features: Sequence[str] = FEATURES,
        kinds: int = 2,
        hidden: int = 32,
        depth: int = 2,
    ):
        for name in features:
            if name not in FEATURES:
                raise ValueError(describe_unknown_name("feature", name, list(FEATURES)))
        if not features:
            raise ValueError(f"choose at least one of the features {FEATURES}")
        if kinds not in (1, 2):
            raise ValueError(f"a network needs kinds 1 or 2, got {kinds}")
        check_integer("a network needs hidden >= 1: hidden", hidden, 1, MAX_HIDDEN)
        check_integer("a network needs depth >= 2: depth", depth, 2, MAX_DEPTH)
        self.features = tuple(name for name in FEATURES if name in features)
        self.kinds = kinds
        averages = len(DECAYS)
        component = {"gradients": 1, "positions": 1}
        component |= {"decays": 2 * averages, "adam": 2 * averages}
        atom = {
            "radial": 2 * kinds * len(ETAS),
            "species": 2 if kinds == 2 else 0,
        }
        step = {"singular": 1, "step": len(PERIODS)}
        sizes = [
            sum(size for name, size in group.items() if name in self.features)
            for group in (component, atom, step)
        ]
        self.network = Network(
            2 * sizes[0], sizes[1], sizes[2], hidden=hidden, depth=depth, key=key
        )
        self.log_alpha = to_float(np.log(0.1))
        self.beta = to_float(1.0)
        self.gamma = to_float(-3.0)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> Learn2HopState:
        components = _pad(positions.T.reshape(-1)).shape[0]
        zeros = jnp.zeros((len(DECAYS), components), positions.dtype)
        return Learn2HopState(zeros, zeros, jnp.zeros((), jnp.int32))

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: Learn2HopState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], Learn2HopState]:
        operands = self, gradient, state, positions, context
        if isinstance(context.box, Cell):  # the kernel has rectangular boxes only
            return Learn2Hop._update_jax(*operands)
        return native.dispatch(
            Learn2Hop._update_native, Learn2Hop._update_jax, *operands
        )

    def _update_native(
        self, gradient: Array, state: Learn2HopState, positions: Array, context: Context
    ) -> tuple[Array, Learn2HopState]:
        constants: dict[str, native.Attribute] = {
            "features": ",".join(self.features),
            "decays": DECAYS,
            "periods": PERIODS,
            "epsilon": EPSILON,
            "gradient_limit": GRADIENT_LIMIT,
            "direction_limit": DIRECTION_LIMIT,
            "atoms_unit": ATOMS_UNIT,
        }
        averages = state.first, state.second
        displacement, first, second = kernel.step(
            self, constants, gradient, averages, state.step, positions, context
        )
        return displacement, Learn2HopState(first, second, state.step + 1)

    def _update_jax(
        self, gradient: Array, state: Learn2HopState, positions: Array, context: Context
    ) -> tuple[Array, Learn2HopState]:
        dtype = positions.dtype
        reduced = gradient * (context.length / context.energy_unit)
        limited = jnp.clip(reduced, -GRADIENT_LIMIT, GRADIENT_LIMIT)
        g = _pad(limited.T.reshape(-1))
        rates = jnp.asarray(DECAYS, dtype)[:, None]
        first = rates * state.first + (1 - rates) * g
        second = rates * state.second + (1 - rates) * (g * g)

        centred = centre(positions, context) / context.length
        inputs = {
            "gradients": [g[None]],
            "positions": [_pad(centred.T.reshape(-1))[None]],
            "decays": [first, second],
        }
        if "adam" in self.features:
            inverse = jax.lax.rsqrt(second + EPSILON)
            inputs["adam"] = [inverse, first * inverse]
        rows = [x for name in self.features for x in inputs.get(name, [])]
        raw = jnp.concatenate([jnp.zeros((0, g.shape[0]), dtype), *rows])
        component = _scale(raw, 0)

        atom = [jnp.zeros((positions.shape[0], 0), dtype)]
        if "species" in self.features and self.kinds == 2:
            atom.append(jax.nn.one_hot(context.species, 2, dtype=dtype))
        if "radial" in self.features:
            unlike = self.kinds == 2
            atom.append(_scale(radial_functions(centred, context, unlike=unlike), 1))
        step = [jnp.zeros(0, dtype)]
        if "singular" in self.features:
            step.append(jnp.full(1, positions.shape[0] / ATOMS_UNIT, dtype))
        if "step" in self.features:
            step.append(jnp.sin(state.step / jnp.asarray(PERIODS, dtype)))

        model = _bind_to_replica(self, gradient)
        magnitude, d = model.network(
            component, jnp.concatenate(atom, axis=1), jnp.concatenate(step)
        )
        size = jnp.exp(model.log_alpha) * context.length
        displacement = size * jnp.clip(d, -DIRECTION_LIMIT, DIRECTION_LIMIT)
        displacement = displacement * jax.nn.sigmoid(
            model.beta * magnitude + model.gamma
        )
        displacement = displacement[: positions.size].reshape(3, -1).T
        return displacement.astype(dtype), Learn2HopState(first, second, state.step + 1)


def centre(
    positions: Float[Array, "atoms 3"], context: Context
) -> Float[Array, "atoms 3"]:
    """Positions relative to the centroid or, along periodic axes, wrapped.

    They are wrapped about the centre of the box.
    """
    if context.box is None:
        return positions - jnp.mean(positions, axis=0)
    if isinstance(context.box, Cell):
        fractions = context.box.get_fractions(positions)
        wrapped = fractions - jnp.floor(fractions) - 0.5
        centred = fractions - jnp.mean(fractions, axis=0)
        periodic = jnp.asarray(context.box.periodic)
        return context.box.get_positions(jnp.where(periodic, wrapped, centred))
    return positions - (jnp.floor(positions / context.box) + 0.5) * context.box


def _pad(components: Float[Array, " components"]) -> Float[Array, " filled"]:
    """Append zeros up to a multiple of `ROW_MULTIPLE`."""
    return jnp.pad(components, (0, -components.shape[0] % ROW_MULTIPLE))


def _scale(raw: Array, axis: int) -> Array:
    """Magnitude and sign of every input, concatenated along an axis."""
    # Without a barrier, XLA computes the inputs twice.
    raw = jax.lax.optimization_barrier(raw)
    return jnp.concatenate([log_magnitude(raw), soft_sign(raw)], axis=axis)


def _bind_to_replica(model: Learn2Hop, gradient: Array) -> Learn2Hop:
    """Convert weights to the precision of the gradient, and make them depend on it.

    The dependence is only formal. Without it, XLA merges the matrix products of all
    replicas of a batch with one set of weights, and transposes inputs and outputs to do
    so, which is 50% slower on CPUs.
    """
    zero = (gradient[0, 0] > jnp.inf).astype(gradient.dtype)
    return jax.tree.map(lambda x: x.astype(gradient.dtype) + zero, model)
