"""Which atoms of a structure are of which metal: good orders at fixed positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from hopgym.potentials import Gupta

Positions = Float[np.ndarray, "atoms 3"]
Order = Bool[np.ndarray, " atoms"]  # whether an atom is of the second metal

LEAST_GAIN = 1e-6  # eV by which a change has to lower the energy


@dataclass(frozen=True)
class PairTerms:
    """Terms of the Gupta potential of all pairs of atoms, at fixed positions.

    **Arguments:**

    - `repulsion`, `density`: for two atoms of the first metal, one of each, and two of
      the second. Atoms have no terms with themselves.
    """

    repulsion: Float[np.ndarray, "3 atoms atoms"]
    density: Float[np.ndarray, "3 atoms atoms"]

    @classmethod
    def make(cls, potential: Gupta, positions: Positions) -> PairTerms:
        """Compute the terms of structures without atoms at the same place."""
        a, xi, p, q, d0 = (
            np.asarray(getattr(potential, name), float)[
                [0, 0, 1], [0, 1, 1], None, None
            ]
            for name in ("a", "xi", "p", "q", "d0")
        )
        distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
        stretch = distances / d0 - 1
        others = 1 - np.eye(len(positions))
        repulsion = others * a * np.exp(-p * stretch)
        return cls(repulsion, others * xi**2 * np.exp(-2 * q * stretch))

    def compute_energies(self, orders: Bool[np.ndarray, "orders atoms"]) -> np.ndarray:
        """Energies of the same positions with other orders."""
        repulsion, density = (
            np.where(
                orders,
                ~orders @ terms[1] + orders @ terms[2],
                ~orders @ terms[0] + orders @ terms[1],
            )
            for terms in (self.repulsion, self.density)
        )
        return np.sum(repulsion - np.sqrt(density), axis=-1)


def find_order(
    potential: Gupta, positions: Positions, order: Order, number: int
) -> Order:
    """Find a low order with `number` atoms of the second metal.

    Single atoms become ones of the other metal until there are as many, then two atoms
    change places until that lowers the energy no more: always those that give the
    lowest energy.

    **Arguments:**

    - `potential`: of two metals.
    - `positions`: in its unit of length; they stay as they are.
    - `order`: the order to begin with.
    - `number`: number of atoms of the second metal.
    """
    terms = PairTerms.make(potential, positions)
    while (count := int(order.sum())) != number:
        changes = np.flatnonzero(order == (count > number))[:, None]
        order, _ = _choose(terms, order, changes)
    energy = terms.compute_energies(order[None])[0]
    while True:
        first, second = np.flatnonzero(~order), np.flatnonzero(order)
        pairs = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
        if not len(pairs):
            return order
        changed, lower = _choose(terms, order, pairs)
        if not lower < energy - LEAST_GAIN:  # also if it is not a number
            return order
        order, energy = changed, lower


def _choose(terms: PairTerms, order: Order, changes: np.ndarray) -> tuple[Order, float]:
    """The lowest of the orders in which some atoms become of the other metal.

    Returns it with its energy.

    **Arguments:**

    - `changes`: the atoms of each order, of shape `(orders, changed)`.
    """
    orders = np.repeat(order[None], len(changes), axis=0)
    rows = np.arange(len(changes))[:, None]
    orders[rows, changes] ^= True
    energies = terms.compute_energies(orders)
    lowest = np.argmin(energies)
    return orders[lowest], energies[lowest]
