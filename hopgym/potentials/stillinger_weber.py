"""Silicon in a periodic box.

Stillinger and Weber, Phys. Rev. B 31, 5262 (1985); Learn2Hop, Eq. 7, which lost the
factor of the second bond in theta_3.
"""

from __future__ import annotations

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hopgym.potentials.base import (
    POSITION_LIMIT,
    AbstractPotential,
    Box,
    Energy,
    Positions,
    Species,
    dot,
    row_sums,
)

# Bonds are cut at this fraction of the cutoff: closer to it every term is
# exp(-1/(1 - r/cutoff)) and smaller than the smallest float64.
CUT = 0.9995


class StillingerWeber(AbstractPotential):
    """sum_{i<j} theta_2 + sum_i sum_{j<k} theta_3, within the cutoff a * sigma.

    theta_2 = A epsilon [B (sigma/r)^4 - 1] exp[sigma / (r - a sigma)]

    theta_3 = lambda epsilon (cos theta_jik + 1/3)^2 f(r_ij) f(r_ik) with
    f(r) = exp[gamma sigma / (r - a sigma)]

    Because the angular term is quadratic in the cosine, the sum over pairs of
    bonds is exactly a function of moments of single bonds,
    M_k = sum_j f_j n_j^(k), n_j the unit vector of the bond:

    E_3 = (lambda epsilon / 2) sum_i [|M_2|^2 + 2/3 |M_1|^2 + M_0^2 / 9
    - sum_j f_j^2 (n_j.n_j + 1/3)^2],

    so it costs as much as a pair potential.

    **Arguments:** the constants above, for silicon by default (energies in eV,
    lengths in angstrom), and

    - `images`: how many periodic images are summed over on each side: 0 if each
      edge of the box is at least twice the cutoff.
    - `core`: radius in units of sigma within which distances are softened.
    """

    a: Float[Array, ""]
    big_a: Float[Array, ""]
    big_b: Float[Array, ""]
    epsilon: Float[Array, ""]
    sigma: Float[Array, ""]
    strength: Float[Array, ""]
    gamma: Float[Array, ""]
    core: Float[Array, ""]
    images: int = eqx.field(static=True)

    def __init__(
        self,
        a: float = 1.8,
        big_a: float = 7.049556277,
        big_b: float = 0.6022245584,
        epsilon: float = 2.16826,
        sigma: float = 2.0951,
        strength: float = 21.0,
        gamma: float = 1.2,
        core: float = 0.1,
        images: int = 0,
    ):
        self.a = jnp.asarray(a, float)
        self.big_a = jnp.asarray(big_a, float)
        self.big_b = jnp.asarray(big_b, float)
        self.epsilon = jnp.asarray(epsilon, float)
        self.sigma = jnp.asarray(sigma, float)
        self.strength = jnp.asarray(strength, float)
        self.gamma = jnp.asarray(gamma, float)
        self.core = jnp.asarray(core, float)
        self.images = images

    @property
    def cutoff(self) -> Float[Array, ""]:
        """Distance beyond which atoms do not interact."""
        return self.a * self.sigma

    def check_box(self, box: Box | None) -> None:
        if box is None:
            raise ValueError("StillingerWeber is periodic: it needs a box")
        reach = (self.images + 0.5) * float(box.min())
        if reach < float(self.cutoff):
            raise ValueError(
                f"a box with edges {box.tolist()} is smaller than twice the cutoff "
                f"{float(self.cutoff):g}: use StillingerWeber(images="
                f"{math.ceil(float(self.cutoff / box.min()) - 0.5)})"
            )

    def _bonds(self, positions: Positions, box: Box | None):
        """Vectors / r, radial functions and derivatives of all bonds.

        Matrices are `(atoms, images * atoms)`, in units of sigma and epsilon.
        """
        assert box is not None, "a System without a box refuses this potential"
        atoms = positions.shape[0]
        edges = box / self.sigma
        scaled = jnp.clip(positions, -POSITION_LIMIT, POSITION_LIMIT) / self.sigma
        shifts = np.array(
            list(itertools.product(range(-self.images, self.images + 1), repeat=3))
        )
        vectors = []
        for axis in range(3):
            x = scaled[:, axis]
            d = x[:, None] - x
            d = d - edges[axis] * jnp.round(d / edges[axis])
            if self.images:
                moved = d[:, None, :] + (edges[axis] * shifts[:, axis])[:, None]
                d = moved.reshape(atoms, -1)
            vectors.append(d)
        squared = vectors[0] ** 2 + vectors[1] ** 2 + vectors[2] ** 2
        self_bond = np.zeros((atoms, len(shifts), atoms))
        self_bond[:, len(shifts) // 2] = np.eye(atoms) * POSITION_LIMIT
        squared = squared + jnp.asarray(self_bond.reshape(atoms, -1), positions.dtype)

        limit = (CUT * self.a) ** 2
        inside = jnp.minimum(squared, limit)
        outside = jnp.maximum(inside, self.core * self.core)
        inverse = jax.lax.rsqrt(outside)
        distances = 0.5 * (inside + outside) * inverse
        units = [d * inverse for d in vectors]
        return units, distances, inverse, squared > self.core * self.core

    def _radial(self, distances: Array):
        """Bond function f, pair energy, and their derivatives by the distance."""
        u = 1 / (distances - self.a)
        f = jnp.exp(self.gamma * u)
        tail = self.big_a * jnp.exp(u)
        r2 = 1 / (distances * distances)
        r4 = self.big_b * r2 * r2
        pair = (r4 - 1) * tail
        d_pair = -4 * r4 / distances * tail - u * u * pair
        return f, -self.gamma * u * u * f, pair, d_pair

    def _moments(self, f: Array, units: list[Array]):
        first = [row_sums(f * n) for n in units]
        second = {
            (k, m): row_sums(f * units[k] * units[m])
            for k in range(3)
            for m in range(k, 3)
        }
        return row_sums(f), first, second

    def _atoms(self, f, pair, units, zeroth, first, second):
        lengths = sum(n * n for n in units) + 1 / 3
        norm2 = sum((1 if k == m else 2) * value**2 for (k, m), value in second.items())
        norm1 = sum(value**2 for value in first)
        angular = norm2 + 2 / 3 * norm1 + zeroth**2 / 9 - row_sums((f * lengths) ** 2)
        return 0.5 * (row_sums(pair) + self.strength * angular)

    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        units, distances, inverse, beyond_core = self._bonds(positions, box)
        f, d_f, pair, d_pair = self._radial(distances)
        zeroth, first, second = self._moments(f, units)
        energies = self._atoms(f, pair, units, zeroth, first, second)

        # E_3 = strength/2 sum_ij f_ij (n.M2.n + 2/3 M1.n + M0/9 - f (n.n + 1/3)^2)
        # and each moment is met again in its own derivative.
        turned = [
            sum(second[min(k, m), max(k, m)][:, None] * units[m] for m in range(3))
            for k in range(3)
        ]
        lengths = sum(n * n for n in units) + 1 / 3
        along = [
            2 * turned[k] + (2 / 3) * first[k][:, None] - 2 * f * lengths * units[k]
            for k in range(3)
        ]
        quadratic = sum(turned[k] * units[k] for k in range(3))
        linear = sum(first[k][:, None] * units[k] for k in range(3))
        by_f = quadratic + (2 / 3) * linear + zeroth[:, None] / 9 - f * lengths**2
        radial = self.strength * by_f * d_f + 0.5 * d_pair
        # Outside the core a unit vector turns, but keeps its length.
        projection = jnp.where(
            beyond_core, sum(a * n for a, n in zip(along, units, strict=True)), 0
        )
        angular = self.strength * f * inverse

        atoms = positions.shape[0]
        gradient = []
        for k in range(3):
            pull = radial * units[k] + angular * (along[k] - projection * units[k])
            folded = pull.reshape(atoms, -1, atoms)
            back = dot(jnp.ones((1, atoms), pull.dtype), folded.sum(1))[0]
            gradient.append(row_sums(pull) - back)
        scale = self.epsilon / self.sigma
        return self.epsilon * jnp.sum(energies), jnp.stack(gradient, axis=1) * scale

    def atom_energies(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        units, distances, _, _ = self._bonds(positions, box)
        f, _, pair, _ = self._radial(distances)
        return self.epsilon * self._atoms(f, pair, units, *self._moments(f, units))
