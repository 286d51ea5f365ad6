"""Pair potentials of one species in free space, in units of depth and distance."""

from __future__ import annotations

import abc

import jax.numpy as jnp
from jaxtyping import Array, Float

from hopgym.potentials._pair_sums import (
    PaddedPositions,
    central_gradient,
    centre,
    pad,
    sum_rows,
)
from hopgym.potentials.base import (
    AtomEnergies,
    Box,
    Energy,
    Positions,
    Species,
    check_free_space,
)
from hopgym.potentials.kernel import AbstractKernelPotential


class AbstractPairPotential(AbstractKernelPotential):
    """sum_{i<j} epsilon v(r_ij / d0); subclasses have fields `epsilon` and `d0`."""

    @property
    @abc.abstractmethod
    def _units(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """`epsilon` and `d0`, the units of energy and length."""

    @abc.abstractmethod
    def _pairs(self, scaled: PaddedPositions, atoms: int) -> tuple[Array, Array]:
        """Pair energies v, and weights w of the gradient sum_j w_ij (r_i - r_j).

        **Arguments:**

        - `scaled`: padded positions in units of d0.
        - `atoms`: number of atoms without padding.

        **Returns:** two matrices `(padded, padded)`.
        """

    def check_box(self, box: Box | None) -> None:
        check_free_space(self, box)

    def has_kernel(self, atoms: int) -> bool:
        return True

    def _energy_and_gradient_jax(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        atoms = positions.shape[0]
        epsilon, d0 = self._units
        scaled = pad(centre(positions, d0) / d0)
        energies, weights = self._pairs(scaled, atoms)
        gradient = central_gradient(weights, scaled)[:atoms]
        energy = 0.5 * epsilon * jnp.sum(sum_rows(energies))
        return energy, gradient * (epsilon / d0)

    def _atom_energies_jax(
        self, positions: Positions, species: Species, box: Box | None
    ) -> AtomEnergies:
        atoms = positions.shape[0]
        epsilon, d0 = self._units
        energies, _ = self._pairs(pad(centre(positions, d0) / d0), atoms)
        return 0.5 * epsilon * sum_rows(energies)[:atoms]
