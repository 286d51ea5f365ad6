"""Optimizers by name: of the zoo, `FILE.py:NAME`, `MODULE:NAME`, or `WEIGHTS.eqx`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym._plugins import load_plugin
from hopgym._suggest import describe_unknown_name
from hopgym.optimizers import load, read_header, zoo
from hopgym.optimizers.learned.weights import SUFFIX


@dataclass(frozen=True)
class Entry:
    """An optimizer to run.

    **Arguments:**

    - `name`: name in tables.
    - `make`: makes the optimizer from a system and the number of steps.
    - `source`: hash of the file of a plug-in or of weights; `None` for the zoo.
    """

    name: str
    make: Callable[[Any, int], Any]
    source: str | None = None


def find_optimizer(spec: str) -> Entry:
    """Find an optimizer by name.

    **Raises:** `ValueError` with a one-line message for an unknown name, or a file that
    is missing, cannot be imported, does not define the name or holds no weights.
    """
    if spec.endswith(SUFFIX):
        return _find_weights(spec)
    if ":" in spec:
        return _find_plugin(spec)
    if spec not in zoo.ZOO:
        hint = describe_unknown_name("optimizer", spec, list(zoo.ZOO))
        raise ValueError(f"{hint} (run.py --list shows all)")
    return Entry(
        spec, lambda system, steps: zoo.make_optimizer(spec, system=system, steps=steps)
    )


def wrap_optimizer(
    target: Any, name: str | None = None, source: str | None = None
) -> Entry:
    """Wrap an optimizer, or a class or function that makes one.

    **Arguments:**

    - `target`: the optimizer; a class or function is called with `system` and `steps`
      if it takes them.
    - `name`, `source`: see `Entry`; by default the name of the class or function.

    **Raises:** `ValueError` for anything else.
    """
    kind = target if hasattr(target, "__name__") else type(target)
    shown = str(kind.__name__) if name is None else name
    ready = not isinstance(target, type) and hasattr(target, "update")
    if not ready and not callable(target):
        raise ValueError(
            f"{shown} is neither an optimizer nor a function or class that makes one"
        )

    def make(system: Any, steps: int) -> Any:
        return target if ready else zoo.build(target, system, steps)

    return Entry(shown, make, source)


def find_optimizers(specs: Iterable[str]) -> list[Entry]:
    """Find optimizers by name, without duplicates.

    **Raises:** `ValueError` as `find_optimizer`, for no optimizers, or for two of one
    name.
    """
    entries = [find_optimizer(spec) for spec in dict.fromkeys(specs)]
    if not entries:
        raise ValueError("no optimizers to run")
    shown = [entry.name for entry in entries]
    for name in shown:
        if shown.count(name) > 1:
            raise ValueError(f"two optimizers are called {name}; rename a file")
    return entries


def describe_factory(factory: Callable[..., Any]) -> str:
    """Get the first line of a factory's docstring."""
    target = getattr(factory, "func", factory)
    return (target.__doc__ or "").strip().partition("\n")[0]


def _find_weights(spec: str) -> Entry:
    try:
        optimizer, source = load(spec), read_header(spec)["sha256"][:12]
    except (OSError, ValueError) as error:
        raise ValueError(f"optimizer {spec!r}: {error}") from error
    return Entry(Path(spec).stem, lambda system, steps: optimizer, source)


def _find_plugin(spec: str) -> Entry:
    plugin = load_plugin(spec, "optimizer")
    return wrap_optimizer(plugin.target, plugin.name, plugin.source)
