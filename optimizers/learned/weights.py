"""Learned optimizers by name and by file."""

from __future__ import annotations

import functools
import importlib.resources
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from hopgym import _serialisation
from hopgym._suggest import unknown_name
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.learned.learn2hop import Learn2Hop
from hopgym.optimizers.learned.mlp_opt import MLPOpt
from hopgym.optimizers.learned.reparametrised import adam4p, bh_step, fire6p

ARCHITECTURES: dict[str, Callable[..., AbstractOptimizer]] = {
    "learn2hop": Learn2Hop,
    "mlp-opt": MLPOpt,
    "adam4p": adam4p,
    "fire6p": fire6p,
    "bh-step": bh_step,
}
ENDING = ".eqx"
LICENCE = "Apache-2.0"


def new(name: str, key: Any, **options: Any) -> AbstractOptimizer:
    """An optimizer of an architecture that has learned nothing yet.

    **Arguments:**

    - `name`: of the architecture.
    - `key`: of its first weights.
    - `options`: of the architecture, such as `features`, `hidden` and `depth`.

    **Raises:** `KeyError` for an unknown architecture; `ValueError` for options that it
    has not, or that make no sense.
    """
    if name not in ARCHITECTURES:
        raise KeyError(unknown_name("architecture", name, list(ARCHITECTURES)))
    known = inspect.signature(ARCHITECTURES[name]).parameters
    for option in options:
        if option not in known:
            raise ValueError(
                f"{name} has no option {option!r}; it has "
                + ", ".join(entry for entry in known if entry != "key")
            )
    return ARCHITECTURES[name](key, **options)


def save(
    path: str | Path,
    optimizer: AbstractOptimizer,
    architecture: dict[str, Any],
    about: dict[str, Any],
) -> None:
    """Write a learned optimizer to a file.

    **Arguments:**

    - `path`: of the file, by convention with the ending `.eqx`.
    - `optimizer`: what was trained.
    - `architecture`: `name` and options, such that `new(**architecture)` is like it.
    - `about`: whatever else should be known: training systems, command, seed.
    """
    header = {"architecture": architecture, "licence": LICENCE, **about}
    weights = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), optimizer)
    _serialisation.write(path, header, weights)


def load(name: str | Path) -> AbstractOptimizer:
    """A trained optimizer that comes with hopgym, or that of a file.

    ```python
    optimizer = hopgym.optimizers.load("learn2hop-lj13-esmc")
    optimizer = hopgym.optimizers.load("runs/lj13/best.eqx")
    ```

    **Raises:** `KeyError` for an unknown name; `FileNotFoundError` for a path (what
    has an ending or a folder) that is not there; `ValueError` for a file that is
    damaged or holds another architecture than it says.
    """
    path = _path(name)
    header = _serialisation.read_header(path)
    try:
        architecture = dict(header["architecture"])
        blank = functools.partial(new, architecture.pop("name"), **architecture)
        template = eqx.filter_eval_shape(blank, jax.random.key(0))
        template = jax.tree.map(_in_file, template)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no learned optimizer that this hopgym knows: {error}"
        ) from error
    return jax.tree.map(
        lambda x: jnp.asarray(x, float), _serialisation.read(path, template)
    )


def about(name: str | Path) -> dict[str, Any]:
    """The header of a trained optimizer: architecture, training, command, seed.

    **Raises:** as `load`.
    """
    return _serialisation.read_header(_path(name))


def trained() -> list[str]:
    """Names of the trained optimizers that come with hopgym."""
    return sorted(path.stem for path in _folder().glob(f"*{ENDING}"))


def factory(name: str) -> Callable[[], AbstractOptimizer]:
    """A function that loads the trained optimizer of that name."""

    def trained_optimizer() -> AbstractOptimizer:
        return load(name)

    header = about(name)
    systems = ", ".join(header.get("systems", []))
    trained_optimizer.__doc__ = (
        f"{header['architecture']['name']} trained on {systems} "
        f"by {header.get('strategy', '?')}."
    )
    return trained_optimizer


def _folder() -> Path:
    return Path(str(importlib.resources.files("hopgym") / "optimizers" / "weights"))


def _path(name: str | Path) -> Path:
    path = Path(name)
    if path.suffix or path.parent != Path():
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        return path
    if str(name) not in trained():
        raise KeyError(unknown_name("trained optimizer", str(name), trained()))
    return _folder() / f"{name}{ENDING}"


def _in_file(leaf: Any) -> jax.ShapeDtypeStruct:
    """Weights are stored in single precision, whatever that of the process is."""
    return jax.ShapeDtypeStruct(leaf.shape, jnp.float32)
