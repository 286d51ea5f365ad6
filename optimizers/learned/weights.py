"""Learned optimizers by name, and files of their weights."""

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
from jaxtyping import PRNGKeyArray

from hopgym import _serialisation
from hopgym._schema import (
    FLAG,
    OBJECT,
    TEXT,
    Schema,
    check,
    integer,
    list_of,
    number,
    optional,
)
from hopgym._suggest import describe_unknown_name
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.learned.learn2hop import Learn2Hop
from hopgym.optimizers.learned.mlp_opt import MLPOpt
from hopgym.optimizers.learned.reparametrised import adam4p, bh_step, fire6p
from hopgym.optimizers.learned.search import (
    learned_bh_lbfgs,
    learned_bh_symmetric,
    learned_bh_two_phase,
)

ARCHITECTURES: dict[str, Callable[..., AbstractOptimizer]] = {
    "learn2hop": Learn2Hop,
    "mlp-opt": MLPOpt,
    "adam4p": adam4p,
    "fire6p": fire6p,
    "bh-step": bh_step,
    "bh-lbfgs": learned_bh_lbfgs,
    "bh-two-phase": learned_bh_two_phase,
    "bh-symmetric": learned_bh_symmetric,
}
SUFFIX = ".eqx"
LICENCE = "Apache-2.0"
MAX_HIDDEN = 1024
MAX_DEPTH = 64
MAX_KNOWN = 10_000
SCHEMA: Schema = {"architecture": OBJECT}  # of headers
# Of the name and the options of an architecture; each has some of the options.
ARCHITECTURE_SCHEMA: Schema = {
    "name": TEXT,
    "features": optional(list_of(TEXT)),
    "kinds": optional(integer(1, 2)),
    "hidden": optional(integer(1, MAX_HIDDEN)),
    "choice": optional(TEXT),
    "quench_end": optional(FLAG),
    "known": optional(integer(1, MAX_KNOWN)),
    "groups": optional(list_of(TEXT)),
    "moves": optional(TEXT),
    "restarts": optional(FLAG),
    "depth": optional(integer(2, MAX_DEPTH)),
    "learning_rate": optional(number(0.0)),
    "time_step": optional(number(0.0)),
    "step": optional(number(0.0)),
}


def make_untrained(name: str, key: PRNGKeyArray, **options: Any) -> AbstractOptimizer:
    """Make an untrained optimizer.

    **Arguments:**

    - `name`: name of the architecture.
    - `key`: random key of the initial weights.
    - `options`: options of the architecture, such as `features`, `hidden` and `depth`.

    **Raises:** `KeyError` for an unknown architecture, and unknown names that options
    ask for; `ValueError` for unknown options or invalid values.
    """
    stored = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
    check({"name": name, **stored}, ARCHITECTURE_SCHEMA, "architecture")
    if name not in ARCHITECTURES:
        raise KeyError(describe_unknown_name("architecture", name, list(ARCHITECTURES)))
    known = inspect.signature(ARCHITECTURES[name]).parameters
    for option in options:
        if option not in known:
            own = ", ".join(entry for entry in known if entry != "key")
            raise ValueError(f"{name} has no option {option!r}; it has {own or 'none'}")
    return ARCHITECTURES[name](key, **options)


def save(
    path: str | Path,
    optimizer: AbstractOptimizer,
    architecture: dict[str, Any],
    provenance: dict[str, Any],
) -> None:
    """Write a learned optimizer to a file.

    **Arguments:**

    - `path`: path of the file, by convention with the suffix `.eqx`.
    - `optimizer`: the trained optimizer.
    - `architecture`: `name` and options for which `make_untrained` returns an optimizer
      of the same structure.
    - `provenance`: other entries of the header: training systems, command, seed.
    """
    header = {"architecture": architecture, "licence": LICENCE, **provenance}
    weights = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), optimizer)
    _serialisation.write(path, header, weights)


def load(name: str | Path) -> AbstractOptimizer:
    """Load a trained optimizer, by its name or from a file.

    ```python
    optimizer = hopgym.optimizers.load("learn2hop-lj13-esmc")
    optimizer = hopgym.optimizers.load("runs/lj13/best.eqx")
    ```

    **Arguments:**

    - `name`: one of [`hopgym.optimizers.list_trained`][], or a path (with a suffix or
      a folder).

    **Raises:** `KeyError` for an unknown name; `FileNotFoundError` for a path that does
    not exist; `ValueError` for a file that is damaged or whose arrays do not fit its
    architecture.
    """
    path = _find(name)
    architecture = read_header(path)["architecture"]
    try:
        check(architecture, ARCHITECTURE_SCHEMA, "its architecture")
        options = {key: value for key, value in architecture.items() if key != "name"}
        make = functools.partial(make_untrained, architecture["name"], **options)
        template = eqx.filter_eval_shape(make, jax.random.key(0))
        template = jax.tree.map(_to_stored, template)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no optimizer known to this version of hopgym: {error}"
        ) from error
    return jax.tree.map(
        lambda x: jnp.asarray(x, float), _serialisation.read(path, template)
    )


def read_header(name: str | Path) -> dict[str, Any]:
    """Read the header of a file of weights: architecture, training, command, seed.

    Arguments and errors are those of [`hopgym.optimizers.load`][].
    """
    return _serialisation.read_header(_find(name), SCHEMA)


def list_trained() -> list[str]:
    """List the names of the trained optimizers that come with hopgym."""
    return sorted(path.stem for path in _get_folder().glob(f"*{SUFFIX}"))


def make_factory(name: str) -> Callable[[], AbstractOptimizer]:
    """Make a factory of a trained optimizer that comes with hopgym."""

    def load_trained() -> AbstractOptimizer:
        return load(name)

    header = read_header(name)
    systems = ", ".join(header.get("systems", []))
    load_trained.__doc__ = (
        f"{header['architecture']['name']} trained on {systems} "
        f"by {header.get('strategy', '?')}."
    )
    return load_trained


def _get_folder() -> Path:
    return Path(str(importlib.resources.files("hopgym") / "optimizers" / "weights"))


def _find(name: str | Path) -> Path:
    path = Path(name)
    if path.suffix or path.parent != Path():
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        return path
    if str(name) not in list_trained():
        raise KeyError(
            describe_unknown_name("trained optimizer", str(name), list_trained())
        )
    return _get_folder() / f"{name}{SUFFIX}"


def _to_stored(leaf: Any) -> jax.ShapeDtypeStruct:
    """Shape and dtype in a file, which is always in single precision."""
    return jax.ShapeDtypeStruct(leaf.shape, jnp.float32)
