"""Objects of users' files, by `FILE.py:NAME` or `MODULE:NAME`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from hopgym._suggest import describe_unknown_name


@dataclass(frozen=True)
class Plugin:
    """An object of a user's file.

    **Attributes:**

    - `target`: the object.
    - `name`: name in tables: that of the file without its folder, and of the object.
    - `source`: hash of the file.
    """

    target: Any
    name: str
    source: str


def load_plugin(spec: str, kind: str) -> Plugin:
    """Load an object by `FILE.py:NAME` or `MODULE:NAME`.

    **Arguments:**

    - `spec`: where it is.
    - `kind`: what it is, for messages, such as "optimizer".

    **Raises:** `ValueError` with a one-line message for a file that is missing, cannot
    be imported or does not define the name.
    """
    where, _, name = spec.rpartition(":")
    if not where or not name:
        raise ValueError(f"{kind} {spec!r}: write FILE.py:NAME or MODULE:NAME")
    try:
        module = (
            _import_file(Path(where))
            if where.endswith(".py")
            else _import_module(where)
        )
    except Exception as error:
        raise ValueError(
            f"{kind} {spec!r}: cannot import {where}: {describe_foreign_error(error)}"
        ) from error
    if not hasattr(module, name):
        offered = [entry for entry in vars(module) if not entry.startswith("_")]
        raise ValueError(f"{where}: {describe_unknown_name('name', name, offered)}")
    shown = f"{Path(where).stem if where.endswith('.py') else where}:{name}"
    return Plugin(getattr(module, name), shown, _hash_source(module))


def describe_foreign_error(error: BaseException) -> str:
    """Describe an error of a user's code in one line, with its class."""
    reason = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError("no such file")
    path = path.resolve()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"{path.stem}_{digest}", path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up their module; the file may import others of its folder.
    sys.modules[spec.name] = module
    _append_to_path(path.parent)
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    _append_to_path(Path.cwd())
    return importlib.import_module(name)


def _append_to_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _hash_source(module: ModuleType) -> str:
    source = Path(module.__file__ or "")
    content = source.read_bytes() if source.is_file() else module.__name__.encode()
    return hashlib.sha256(content).hexdigest()[:12]
