"""Searches of other programs.

A program has a method `search(recorder, start, evaluations, seed)`: it searches from
`start`, in hopgym's units and of shape `(atoms, 3)`, with the potential of `recorder`,
an `external_cell.Recorder`. Its fields are its settings in the results.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from benchmarks.external_cell import Recorder
from benchmarks.timing.external import SIGMA

# Both programs have the unit sigma of length, which is `SIGMA` here.


def import_program(package: str, module: str) -> Any:
    """Import a module of an optional package.

    **Raises:** `ValueError` if it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise ValueError(
            f"{package} cannot be imported ({error}): pip install {package}, or leave "
            "it out with --programs"
        ) from None


def _evaluate(recorder: Recorder, flat: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy and gradient in units of epsilon and sigma."""
    energy, gradient = recorder.evaluate(np.reshape(flat, (-1, 3)) * SIGMA)
    return energy, gradient.ravel() * SIGMA


@dataclass(frozen=True)
class Anneal:
    """Cluster search of anneal (anneal.rgoswami.me).

    A charged evaluation of `anneal.cluster_search` is one energy with its gradient, at
    most. The first few determine the sign of the gradient.

    **Arguments:**

    - `preset`: `recommended`, its default; or `communicating`, basin hopping with
      completion of symmetric orbits.
    - `version`: version of the package.
    """

    preset: str
    version: str

    def search(
        self, recorder: Recorder, start: np.ndarray, evaluations: int, seed: int
    ) -> None:
        with warnings.catch_warnings():
            # It says that callbacks raised errors, which the recorder has kept.
            warnings.simplefilter("ignore", RuntimeWarning)
            import_program("anneal", "anneal").cluster_search(
                lambda flat: _evaluate(recorder, flat)[0],
                lambda flat: _evaluate(recorder, flat)[1],
                len(start),
                evaluations,
                seed=seed,
                communicating=self.preset == "communicating",
                start=start.ravel() / SIGMA,
            )


@dataclass(frozen=True)
class Pele:
    """Basin hopping of pele with its defaults (pele-python.github.io).

    **Arguments:**

    - `version`: version of the package.
    """

    version: str

    def search(
        self, recorder: Recorder, start: np.ndarray, evaluations: int, seed: int
    ) -> None:
        systems = import_program("pele", "pele.systems")
        base = import_program("pele", "pele.potentials").BasePotential

        class Potential(base):
            def getEnergy(self, coords):
                return _evaluate(recorder, coords)[0]

            def getEnergyGradient(self, coords):
                return _evaluate(recorder, coords)

        np.random.seed(seed)  # the generator that it uses
        with contextlib.redirect_stdout(io.StringIO()):
            cluster = systems.LJCluster(len(start))
            cluster.get_potential = Potential
            search = cluster.get_basinhopping(
                coords=start.ravel() / SIGMA, outstream=None
            )
            while not recorder.spent:
                search.run(1)


def make_anneal(preset: str) -> Anneal:
    """Make a search of anneal, if it is installed."""
    import_program("anneal", "anneal")
    return Anneal(preset, metadata.version("anneal"))


def make_pele() -> Pele:
    """Make a search of pele, if it is installed."""
    import_program("pele", "pele.systems")
    return Pele(metadata.version("pele"))


PROGRAMS: dict[str, Callable[[], Any]] = {
    "anneal-communicating": lambda: make_anneal("communicating"),
    "anneal-recommended": lambda: make_anneal("recommended"),
    "pele": make_pele,
}
