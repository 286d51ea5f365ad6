"""Kernels in C++ for CPUs: choosing between them and JAX, loading and calling them.

The formulas in JAX are the reference; kernels compute the same results faster. They
are built when the package is installed, if there is a C++ compiler. Without them, and
on GPUs, JAX computes everything.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.metadata
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

LIBRARY = "libhopgym.so"
_SOURCES = Path(__file__).parents[1] / "native"
BACKENDS = ("auto", "native", "xla")
TARGETS = (
    *("lennard_jones", "morse", "gupta", "stillinger_weber"),
    *("radial_functions", "learned_step", "lbfgs"),
)
_SUFFIX = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}

Attribute = bool | int | float | str | Sequence[float | int] | np.ndarray

_chosen = os.environ.get("HOPGYM_BACKEND", "auto")


def use_backend(name: str) -> None:
    """Choose the backend for all computations from now on.

    The initial choice is the environment variable `HOPGYM_BACKEND`, `"auto"` by
    default.

    **Arguments:**

    - `name`: `"auto"`: kernels in C++ on CPUs if they are installed, otherwise JAX.
      `"native"`: kernels, or an error. `"xla"`: JAX only.

    **Raises:** `ValueError` for any other name; `RuntimeError` for `"native"` if the
    kernels cannot be used.
    """
    global _chosen
    _check_backend(name)
    if name != _chosen:
        jax.clear_caches()  # compiled functions call the previous backend
    _chosen = name


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """Use a backend for functions that JAX traces within a `with` block.

    Functions that are compiled already keep their backend.

    **Raises:** as [`hopgym.native.use_backend`][].
    """
    global _chosen
    _check_backend(name)
    before, _chosen = _chosen, name
    try:
        yield
    finally:
        _chosen = before


def backend() -> str:
    """The backend in use: `"native"` or `"xla"`."""
    if _chosen not in BACKENDS:
        raise ValueError(
            f"HOPGYM_BACKEND must be one of {BACKENDS}, but is {_chosen!r}"
        )
    if _chosen == "xla" or jax.default_backend() != "cpu":
        return "xla"
    if _chosen == "native":
        _require_library()
    return "xla" if _load_library()[0] is None else "native"


def instruction_set() -> str | None:
    """The kernels' instruction set: `"baseline"`, `"avx2"` or `"avx512"`.

    `None` without kernels.
    """
    library, _ = _load_library()
    return None if library is None else library.hopgym_isa(None).decode()


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Limit the threads that a kernel uses, within a `with` block.

    By default a kernel may use as many of XLA's threads as the process has cores.

    **Raises:** `ValueError` for a `count` below 1.
    """
    if count < 1:
        raise ValueError(f"a kernel needs at least one thread, got {count}")
    library, _ = _load_library()
    if library is None:
        yield
        return
    library.hopgym_use_threads(count)
    try:
        yield
    finally:
        library.hopgym_use_threads(cores())


def dispatch(
    kernel: Callable[..., Any], formulas: Callable[..., Any], *operands: Any
) -> Any:
    """`kernel(*operands)` if kernels are in use, otherwise `formulas(*operands)`.

    Derivatives are those of the formulas.

    **Arguments:**

    - `kernel`, `formulas`: two implementations of one function of pytrees.
    - `operands`: its arguments.
    """
    if backend() == "xla":
        return formulas(*operands)
    function = jax.custom_jvp(kernel)
    function.defjvp(lambda primals, tangents: jax.jvp(formulas, primals, tangents))
    return function(*operands)


def call(
    target: str,
    results: Mapping[str, jax.ShapeDtypeStruct],
    operands: Mapping[str, ArrayLike],
    attributes: Mapping[str, Attribute] | None = None,
    in_place: Sequence[str] = (),
) -> dict[str, jax.Array]:
    """Call a kernel, which finds operands, results and attributes by their names.

    **Arguments:**

    - `target`: name of the kernel.
    - `results`: shape and dtype of each result.
    - `operands`: arrays. Floating-point ones get the dtype of the first result,
      integers become int32.
    - `attributes`: constants of a compiled program.
    - `in_place`: names of operands whose memory the results of the same names reuse.

    **Returns:** the results by name.

    **Raises:** `jax.errors.JaxRuntimeError` when it runs, for an operand, result or
    attribute that is missing or unknown to the kernel, or has another shape or type.
    """
    dtype = next(iter(results.values())).dtype
    names, result_names = list(operands), list(results)
    function = jax.ffi.ffi_call(
        f"hopgym_{target}_{_SUFFIX[np.dtype(dtype)]}",
        list(results.values()),
        vmap_method="broadcast_all" if in_place else "expand_dims",
        input_output_aliases={
            names.index(name): result_names.index(name) for name in in_place
        },
    )
    converted = [_convert_operand(jnp.asarray(x), dtype) for x in operands.values()]
    known = {name: _convert_attribute(x) for name, x in (attributes or {}).items()}
    found = function(
        *converted, operands=",".join(names), results=",".join(result_names), **known
    )
    return dict(zip(results, found, strict=True))


def _convert_operand(x: jax.Array, real: np.dtype) -> jax.Array:
    """An array in the precision of the results, or as the integers of the kernels."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(real)
    return x.astype(jnp.int32) if jnp.issubdtype(x.dtype, jnp.integer) else x


def _convert_attribute(value: Attribute) -> Any:
    """A value with the type that the kernels read."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return np.int64(value)
    if isinstance(value, float):
        return np.float64(value)
    return np.asarray(value, np.float64)


def _check_backend(name: str) -> None:
    if name not in BACKENDS:
        raise ValueError(f"a backend is one of {BACKENDS}, got {name!r}")
    if name == "native":
        _require_library()


def _require_library() -> None:
    library, why = _load_library()
    if library is None:
        raise RuntimeError(f"backend 'native' cannot be used: {why}")


@functools.cache
def _load_library() -> tuple[Any, str]:
    """The library, whose targets it registers, or `None` and the reason."""
    path = _find_library()
    if path is None:
        return None, _warn(
            "hopgym was installed without them, for example because there was no C++ "
            "compiler. HOPGYM_BACKEND=xla silences this warning"
        )
    try:
        library = ctypes.CDLL(str(path))
        built = library.hopgym_ffi_major(), library.hopgym_ffi_minor()
        library.hopgym_sources.restype = ctypes.c_char_p
    except (OSError, AttributeError) as error:
        return None, _warn(f"{path} cannot be loaded ({error}): install hopgym again")
    running = _read_running_version()
    if running is None or built[0] != running[0] or built[1] > running[1]:
        return None, _warn(
            f"they were built for XLA's interface {built}, and this jaxlib has "
            f"{running}: install hopgym again"
        )
    if _digest_sources(_SOURCES) not in (None, library.hopgym_sources().decode()):
        return None, _warn(
            f"they were built from other sources than those in {_SOURCES}: "
            "install hopgym again"
        )
    library.hopgym_use_threads.argtypes = [ctypes.c_int64]
    library.hopgym_use_threads(cores())
    library.hopgym_isa.restype = ctypes.c_char_p
    library.hopgym_isa.argtypes = [ctypes.c_char_p]
    for target in TARGETS:
        for suffix in _SUFFIX.values():
            name = f"hopgym_{target}_{suffix}"
            capsule = jax.ffi.pycapsule(getattr(library, name))
            jax.ffi.register_ffi_target(name, capsule, platform="cpu")
    return library, ""


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cores() -> int:
    """The number of cores that this process may use for each of its devices."""
    return max(1, available_cores() // jax.local_device_count())


def _warn(why: str) -> str:
    """Warn that there are no kernels, and return the reason."""
    warnings.warn(
        f"hopgym's kernels for CPUs are not used: {why}", RuntimeWarning, stacklevel=4
    )
    return why


def _find_library() -> Path | None:
    beside = Path(__file__).with_name(LIBRARY)
    if beside.exists():
        return beside
    # An editable installation: the sources are here, the library is not.
    try:
        files = importlib.metadata.files("hopgym") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == LIBRARY and Path(str(file.locate())).exists():
            return Path(str(file.locate()))
    return None


def _digest_sources(sources: Path) -> str | None:
    """SHA-256 of the kernels' sources, computed as in their `CMakeLists.txt`.

    `None` without sources: only editable installations have them.
    """
    patterns = ("*.cc", "*.h", "*.inl", "CMakeLists.txt")
    files = sorted(path for pattern in patterns for path in sources.glob(pattern))
    if not files:
        return None
    digests = (hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _read_running_version() -> tuple[int, int] | None:
    """Version of XLA's foreign function interface in the installed jaxlib."""
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    try:
        text = header.read_text()
    except OSError:
        return None
    found = [
        re.search(rf"#define XLA_FFI_API_{part} (\d+)", text)
        for part in ("MAJOR", "MINOR")
    ]
    if not all(found):
        return None
    major, minor = (int(match.group(1)) for match in found if match)
    return major, minor
