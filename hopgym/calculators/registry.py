"""Calculators by name: one line for each.

To add one, write a file with a function `make`, and add a line to `CALCULATORS`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hopgym._plugins import describe_foreign_error, load_plugin
from hopgym._suggest import describe_unknown_name

if TYPE_CHECKING:  # the names are known without ASE
    from ase.calculators.calculator import Calculator


class CalculatorUnavailable(ValueError):
    """A calculator could not be made."""


@dataclass(frozen=True)
class Package:
    """A calculator that comes with its parameters in a package.

    **Arguments:**

    - `module`: module of hopgym with its function `make`.
    - `package`: name of the package for pip.
    """

    module: str
    package: str


CALCULATORS = {
    "chgnet": Package("hopgym.calculators.chgnet", "chgnet"),
    "emt": Package("hopgym.calculators.emt", "ase"),
    "sevennet": Package("hopgym.calculators.sevennet", "sevenn"),
    "tblite": Package("hopgym.calculators.tblite", "tblite"),
}


@dataclass(frozen=True)
class CalculatorSource:
    """Where calculators come from, one for each process.

    **Attributes:**

    - `name`: name of the calculator in reports.
    - `make`: makes one; can be pickled if it comes from a name.
    - `version`: version of the package, hash of the file, or empty.
    - `spec`: what was given to `find_calculator`, if it is text.
    - `is_shared`: whether it is always the same calculator.
    """

    name: str
    make: Callable[[], Calculator]
    version: str = ""
    spec: str = ""
    is_shared: bool = False


def find_calculator(spec: Any) -> CalculatorSource:
    """Find a calculator.

    **Arguments:**

    - `spec`: a name in `CALCULATORS`; `FILE.py:NAME` or `MODULE:NAME` of a function or
      class that makes one; such a function or class; or a calculator.

    **Raises:** `ValueError` for anything else, a package that is not installed, with
    the command that installs it, or what makes no calculator.
    """
    if isinstance(spec, str):
        return _find_by_name(spec)
    if hasattr(spec, "get_potential_energy") and not inspect.isclass(spec):
        return CalculatorSource(type(spec).__name__, lambda: spec, is_shared=True)
    if callable(spec):
        name = str(getattr(spec, "__name__", type(spec).__name__))
        return CalculatorSource(name, functools.partial(_make, spec, name))
    raise ValueError(
        f"a calculator is one of ASE, a function that makes one, or one of the names "
        f"{', '.join(CALCULATORS)}; got {spec!r}"
    )


def _find_by_name(spec: str) -> CalculatorSource:
    if ":" in spec:
        plugin = load_plugin(spec, "calculator")
        make = functools.partial(_make_from_file, spec)
        return CalculatorSource(plugin.name, make, plugin.source, spec)
    if spec not in CALCULATORS:
        hint = describe_unknown_name("calculator", spec, list(CALCULATORS))
        raise ValueError(f"{hint} (or FILE.py:NAME of a function that makes one)")
    known = CALCULATORS[spec]
    try:
        version = importlib.metadata.version(known.package)
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(
            f"the calculator {spec!r} needs a package: pip install {known.package}"
        ) from None
    make = functools.partial(_make_by_name, spec)
    return CalculatorSource(spec, make, version, spec)


def _make_by_name(name: str) -> Calculator:
    known = CALCULATORS[name]
    try:
        return importlib.import_module(known.module).make()
    except (ImportError, OSError) as error:
        raise CalculatorUnavailable(
            f"the calculator {name!r} cannot be made "
            f"({describe_foreign_error(error)}): pip install {known.package}"
        ) from error


def _make_from_file(spec: str) -> Calculator:
    return _make(load_plugin(spec, "calculator").target, spec)


def _make(factory: Callable[[], Any], name: str) -> Calculator:
    try:
        made = factory()
    except Exception as error:
        raise CalculatorUnavailable(
            f"the calculator {name} cannot be made: {describe_foreign_error(error)}"
        ) from error
    if not hasattr(made, "get_potential_energy"):
        raise CalculatorUnavailable(
            f"{name} makes {type(made).__name__}, which is no calculator of ASE"
        )
    return made
