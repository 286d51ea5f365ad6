"""Systems: a potential, atoms, box, random starts, units and reference energy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym._checks import POSITIVE, Rule, check_number, check_precision, is_known
from hopgym._converters import to_float, to_int
from hopgym._keys import as_key
from hopgym.potentials import AbstractPotential
from hopgym.potentials.base import check_edges, check_species
from hopgym.systems.start import AbstractStart


class System(eqx.Module):
    """Atoms with a potential, random starts, units and, if known, the lowest energy.

    A pytree whose leaves are arrays; names and sources are static. So compositions of
    the same size can be batched (see [`hopgym.stack`][]).

    **Attributes:**

    - `potential`: a [`hopgym.potentials.AbstractPotential`][].
    - `species`: `Int[Array, "atoms"]`, index into `elements`.
    - `box`: `Float[Array, "3"]`, edges of the periodic box, or `None`.
    - `start`: distribution of initial positions.
    - `length`: unit of length, a nearest-neighbour distance.
    - `energy_unit`: unit of energy in which the energy per atom is similar to that of
      a Lennard-Jones cluster of the same size.
    - `energy_scale`: |lowest energy|, or an estimate of it; meta-losses are divided by
      it.
    - `reference`: lowest known energy; `None` is stored as `nan`.
    - `tolerance`: a quenched structure is a hit if its energy is less than `reference`
      plus this.
    - `name`: name of the system.
    - `elements`: chemical symbols of the species; `"X"` in reduced units.
    - `reference_source`: source of `reference`.

    **Raises:** `ValueError` for fewer than two atoms, a species that has no element,
    units, scale, tolerance or box edges that are not positive and finite, or a box for
    which the potential is not defined.
    """

    name: str = eqx.field(static=True)
    potential: AbstractPotential
    species: Int[Array, "*stack atoms"] = eqx.field(converter=to_int)
    start: AbstractStart
    energy_scale: Float[Array, "*stack"] = eqx.field(converter=to_float)
    box: Float[Array, "*stack 3"] | None = eqx.field(
        converter=lambda box: None if box is None else to_float(box), default=None
    )
    length: Float[Array, "*stack"] = eqx.field(converter=to_float, default=1.0)
    energy_unit: Float[Array, "*stack"] = eqx.field(converter=to_float, default=1.0)
    reference: Float[Array, "*stack"] = eqx.field(
        converter=lambda energy: to_float(math.nan if energy is None else energy),
        default=None,
    )
    tolerance: Float[Array, "*stack"] = eqx.field(converter=to_float, default=1e-3)
    elements: tuple[str, ...] = eqx.field(static=True, default=("X",))
    reference_source: str = eqx.field(static=True, default="")

    def __check_init__(self):
        for what, kind in (("potential", AbstractPotential), ("start", AbstractStart)):
            if not isinstance(getattr(self, what), kind):
                raise ValueError(
                    f"{self.name}: {what} must be a {kind.__name__}, got "
                    f"{getattr(self, what)!r}"
                )
        if self.species.ndim != 1 or self.atoms < 2:
            raise ValueError(
                f"{self.name}: a system needs at least 2 atoms, got species of shape "
                f"{self.species.shape}"
            )
        last = len(self.elements) - 1
        indices = Rule(
            f"between 0 and {last}: they must index the elements {self.elements}",
            lambda x: (x >= 0) & (x <= last),
        )
        check_number(f"{self.name}: species", self.species, indices)
        check_species(self.name, self.potential, self.species)
        for what in ("length", "energy_unit", "energy_scale", "tolerance"):
            value = getattr(self, what)
            if value.shape != ():
                raise ValueError(f"{self.name}: {what} must be a number, got {value}")
            check_number(f"{self.name}: {what}", value, POSITIVE)
        known = Rule("finite, or None", lambda x: ~np.isinf(x))
        check_number(f"{self.name}: reference", self.reference, known)
        if self.box is not None:
            check_edges(self.name, self.box)
        if is_known(self.box):
            with jax.ensure_compile_time_eval():
                self.potential.check_box(self.box)

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        return self.species.shape[-1]

    @property
    def freedom(self) -> None:
        """Without constraints, all atoms may move in all directions."""
        return None

    @property
    def symbols(self) -> list[str]:
        """Chemical symbol of each atom; not defined for stacked systems."""
        return [self.elements[kind] for kind in self.species.tolist()]

    @property
    def has_reference(self) -> bool:
        """Whether a lowest energy is known."""
        return not bool(np.isnan(np.asarray(self.reference)))

    def sample(self, key: PRNGKeyArray) -> Float[Array, "atoms 3"]:
        """Draw initial positions (by default harmonic initialisation, paper D.2).

        **Raises:** `ValueError` for anything but one random key, or if JAX's precision
        has changed since the system was made.
        """
        self.check_precision()
        return self.start.sample(as_key(key), self.atoms, self.length, self.box)

    def energy_and_gradient(
        self, positions: Float[Array, "..."]
    ) -> tuple[Float[Array, ""], Float[Array, "atoms 3"]]:
        """Energy and gradient of one replica: one evaluation.

        **Raises:** `ValueError` for positions that are not of shape `(atoms, 3)`, or if
        JAX's precision has changed since the system was made.
        """
        self.check_precision()
        if jnp.shape(positions) != (self.atoms, 3):
            raise ValueError(
                f"{self.name}: positions must have shape {(self.atoms, 3)}, got "
                f"{jnp.shape(positions)}"
            )
        return self.potential.energy_and_gradient(positions, self.species, self.box)

    def check_precision(self) -> None:
        """Check that the system was made in JAX's current precision.

        **Raises:** `ValueError` if it was not.
        """
        numbers = jax.tree.leaves((self.length, self.start))
        check_precision(self.name, filter(eqx.is_inexact_array, numbers))

    def is_hit(self, energy: Float[Array, "..."]) -> Array:
        """Whether energies of quenched structures are that of the reference minimum."""
        return energy < self.reference + self.tolerance


def stack(systems: Sequence[System]) -> System:
    """Stack systems of the same size along a new leading axis, for `jax.vmap`.

    **Raises:** `ValueError` for an empty sequence, or if the systems differ in number
    of atoms, kind of potential or kind of box.
    """
    if not systems:
        raise ValueError("stack needs at least one system")
    name = "|".join(system.name for system in systems)
    alike = [
        dataclasses.replace(
            system, name=name, elements=systems[0].elements, reference_source=""
        )
        for system in systems
    ]
    layouts = [
        (jax.tree.structure(system), [leaf.shape for leaf in jax.tree.leaves(system)])
        for system in alike
    ]
    for system, layout in zip(systems, layouts, strict=True):
        if layout != layouts[0]:
            raise ValueError(
                f"{system.name} cannot be stacked with {systems[0].name}: they differ "
                "in number of atoms, kind of potential or kind of box"
            )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *alike)
