"""The paper's learned optimizer: a small network that moves every coordinate.

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
from hopgym._suggest import unknown_name
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer, real
from hopgym.optimizers.learned import kernel
from hopgym.optimizers.learned.input_scaling import direction, log_magnitude
from hopgym.optimizers.learned.network import Network
from hopgym.optimizers.learned.radial import ETAS, LANES, radial_functions

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
# Components of the gradient are limited to this, which pairs at 0.7 lengths have:
# averages would remember an overlap for tens of thousands of steps.
GRADIENT_LIMIT = 1e3
DIRECTION_LIMIT = 20.0
ATOMS_UNIT = 100.0


class Learn2HopState(eqx.Module):
    """Moving averages of the gradient and of its square, and the number of updates.

    Components are in the order x of all atoms, y, z, filled up with zeros.
    """

    first: Float[Array, "decays components"]
    second: Float[Array, "decays components"]
    step: Int[Array, ""]


class Learn2Hop(AbstractOptimizer[Learn2HopState]):
    """A perceptron with weights shared by all coordinates.

    With outputs m and d of the network, a coordinate moves by

        alpha clip(d, -20, 20) sigmoid(beta m + gamma)   (Eq. 2)

    in units of the system's length. Its inputs are in reduced units as well, so that
    one set of weights works on any potential. By group (Table 1):

    - `gradients`, `positions`: of the component; positions about the centroid, in a
      periodic box wrapped about its centre.
    - `decays`: averages m of the gradient and v of its square, m <- r m + (1 - r) g,
      for the rates r = 0.5, 0.9, 0.99, 0.999 and 0.9999.
    - `adam`: (v + 1e-10)^(-1/2) and m (v + 1e-10)^(-1/2).
    - `singular`: the number of atoms / 100.
    - `species`: which of two species the atom has.
    - `step`: sin(t / tau), tau = 1, 3, 10, ..., 10000.
    - `radial`: [symmetry functions][hopgym.optimizers.learned.radial.radial_functions]
      of the atom, of all its neighbours and of those of the other species.

    Those of a component and the symmetry functions enter as log|x| / 10, at least -1,
    and sign x, or x e^10 where |x| < e^-10.

    **Arguments:**

    - `key`: of the first weights; the output layer is zero, so that nothing moves
      before it is trained.
    - `features`: groups of inputs, all by default.
    - `kinds`: 2, or 1 for a network that takes all species for one: `species` and the
      functions of unlike neighbours are left out.
    - `hidden`, `depth`: width of the hidden layers, and number of dense layers.

    **Raises:** `ValueError` for an unknown feature, no features at all, or sizes that
    make no sense.
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
                raise ValueError(unknown_name("feature", name, list(FEATURES)))
        if not features:
            raise ValueError(f"choose at least one of the features {FEATURES}")
        if kinds not in (1, 2) or hidden < 1 or depth < 2:
            raise ValueError(
                "a network needs kinds 1 or 2, hidden >= 1 and depth >= 2, got "
                f"kinds={kinds}, hidden={hidden}, depth={depth}"
            )
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
        self.log_alpha = real(np.log(0.1))
        self.beta = real(1.0)
        self.gamma = real(-3.0)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> Learn2HopState:
        components = _filled(positions.T.reshape(-1)).shape[0]
        none = jnp.zeros((len(DECAYS), components), positions.dtype)
        return Learn2HopState(none, none, jnp.zeros((), jnp.int32))

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: Learn2HopState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], Learn2HopState]:
        return native.dispatch(
            Learn2Hop._by_kernel,
            Learn2Hop._by_formulas,
            self,
            gradient,
            state,
            positions,
            context,
        )

    def _by_kernel(
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
        moved, first, second = kernel.step(
            self, constants, gradient, averages, state.step, positions, context
        )
        return moved, Learn2HopState(first, second, state.step + 1)

    def _by_formulas(
        self, gradient: Array, state: Learn2HopState, positions: Array, context: Context
    ) -> tuple[Array, Learn2HopState]:
        dtype = positions.dtype
        reduced = gradient * (context.length / context.energy_unit)
        limited = jnp.clip(reduced, -GRADIENT_LIMIT, GRADIENT_LIMIT)
        g = _filled(limited.T.reshape(-1))
        rates = jnp.asarray(DECAYS, dtype)[:, None]
        first = rates * state.first + (1 - rates) * g
        second = rates * state.second + (1 - rates) * (g * g)

        here = centred(positions, context) / context.length
        inputs = {
            "gradients": [g[None]],
            "positions": [_filled(here.T.reshape(-1))[None]],
            "decays": [first, second],
        }
        if "adam" in self.features:
            inverse = jax.lax.rsqrt(second + EPSILON)
            inputs["adam"] = [inverse, first * inverse]
        rows = [x for name in self.features for x in inputs.get(name, [])]
        raw = jnp.concatenate([jnp.zeros((0, g.shape[0]), dtype), *rows])
        component = _scaled(raw, 0)

        atom = [jnp.zeros((positions.shape[0], 0), dtype)]
        if "species" in self.features and self.kinds == 2:
            atom.append(jax.nn.one_hot(context.species, 2, dtype=dtype))
        if "radial" in self.features:
            unlike = self.kinds == 2
            atom.append(_scaled(radial_functions(here, context, unlike=unlike), 1))
        step = [jnp.zeros(0, dtype)]
        if "singular" in self.features:
            step.append(jnp.full(1, positions.shape[0] / ATOMS_UNIT, dtype))
        if "step" in self.features:
            step.append(jnp.sin(state.step / jnp.asarray(PERIODS, dtype)))

        model = _for_replica(self, gradient)
        magnitude, d = model.network(
            component, jnp.concatenate(atom, axis=1), jnp.concatenate(step)
        )
        size = jnp.exp(model.log_alpha) * context.length
        moved = size * jnp.clip(d, -DIRECTION_LIMIT, DIRECTION_LIMIT)
        moved = moved * jax.nn.sigmoid(model.beta * magnitude + model.gamma)
        moved = moved[: positions.size].reshape(3, -1).T
        return moved.astype(dtype), Learn2HopState(first, second, state.step + 1)


def centred(
    positions: Float[Array, "atoms 3"], context: Context
) -> Float[Array, "atoms 3"]:
    """Positions about the centroid, or wrapped about the centre of the box."""
    if context.box is None:
        return positions - jnp.mean(positions, axis=0)
    return positions - (jnp.floor(positions / context.box) + 0.5) * context.box


def _filled(components: Float[Array, " components"]) -> Float[Array, " filled"]:
    """With zeros up to a multiple of `LANES`."""
    return jnp.pad(components, (0, -components.shape[0] % LANES))


def _scaled(raw: Array, axis: int) -> Array:
    """Both numbers that stand for each input, along an axis."""
    raw = jax.lax.optimization_barrier(raw)  # else it is computed anew for each number
    return jnp.concatenate([log_magnitude(raw), direction(raw)], axis=axis)


def _for_replica(model: Learn2Hop, gradient: Array) -> Learn2Hop:
    """The weights, in the precision of the gradient and formally depending on it.

    In a batch with one set of weights XLA would otherwise make one product of all
    replicas, for which it transposes inputs and outputs on CPUs: slower by half.
    """
    nothing = (gradient[0, 0] > jnp.inf).astype(gradient.dtype)
    return jax.tree.map(lambda x: x.astype(gradient.dtype) + nothing, model)
