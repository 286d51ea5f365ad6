"""C++ kernels for CPUs: choosing between them and JAX, loading and calling them.

Every kernel has a JAX implementation, which is the reference for its results. Kernels
are built when the package is installed, if there is a C++ compiler. Without them, and
on GPUs, everything runs in JAX.
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
    *("radial_functions", "learned_step", "lbfgs", "displace", "record"),
    "cluster_move",
)
_SUFFIX = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}

Attribute = bool | int | float | str | Sequence[float | int] | np.ndarray

# Part of the keys of JAX's caches: what is compiled for a backend is kept for it.
_chosen = jax.make_user_context(os.environ.get("HOPGYM_BACKEND", "auto"))


def use_backend(name: str) -> None:
    """Choose the backend for all computations from now on.

    The initial choice is the environment variable `HOPGYM_BACKEND`, `"auto"` by
    default. Functions are traced and compiled once for each choice. What has been
    lowered or compiled ahead of time keeps its backend.

    **Arguments:**

    - `name`: `"auto"`: C++ kernels on CPUs if they are installed, otherwise JAX.
      `"native"`: kernels, or an error. `"xla"`: JAX only.

    **Raises:** `ValueError` for any other name; `RuntimeError` for `"native"` if the
    kernels cannot be used.
    """
    _check_backend(name)
    _chosen.set_global(name)


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """Use a backend for the computations of this thread within a `with` block.

    [`hopgym.native.use_backend`][] has no effect on this thread until its end.

    **Raises:** as [`hopgym.native.use_backend`][].
    """
    _check_backend(name)
    with _chosen(name):
        yield


def backend() -> str:
    """The backend in use: `"native"` or `"xla"`."""
    chosen = _chosen.value
    if chosen not in BACKENDS:
        raise ValueError(f"HOPGYM_BACKEND must be one of {BACKENDS}, but is {chosen!r}")
    if chosen == "xla" or jax.default_backend() != "cpu":
        return "xla"
    if chosen == "native":
        _require_library()
    return "xla" if _load_library()[0] is None else "native"


def instruction_set() -> str | None:
    """Instruction set of the kernels: `"baseline"`, `"avx2"` or `"avx512"`.

    `None` if there are no kernels.
    """
    library, _ = _load_library()
    return None if library is None else library.hopgym_isa(None).decode()


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Limit the number of threads per kernel within a `with` block.

    By default a kernel uses up to as many of XLA's threads as the process has cores.

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
    kernel: Callable[..., Any], reference: Callable[..., Any], *operands: Any
) -> Any:
    """`kernel(*operands)` if kernels are in use, otherwise `reference(*operands)`.

    Derivatives are always those of `reference`.

    **Arguments:**

    - `kernel`, `reference`: a function of pytrees that calls a kernel, and its
      implementation in JAX.
    - `operands`: their arguments.
    """
    if backend() == "xla":
        return reference(*operands)
    function = jax.custom_jvp(kernel)
    function.defjvp(lambda primals, tangents: jax.jvp(reference, primals, tangents))
    return function(*operands)


def call(
    target: str,
    results: Mapping[str, jax.ShapeDtypeStruct],
    operands: Mapping[str, ArrayLike],
    attributes: Mapping[str, Attribute] | None = None,
    in_place: Sequence[str] = (),
) -> dict[str, jax.Array]:
    """Call a kernel; operands, results and attributes are passed by name.

    **Arguments:**

    - `target`: name of the kernel.
    - `results`: shape and dtype of each result.
    - `operands`: arrays. Floating-point ones are converted to the dtype of the first
      result, integers to `int32`.
    - `attributes`: compile-time constants.
    - `in_place`: names of operands whose memory is reused for the results of the same
      names.

    **Returns:** the results by name.

    **Raises:** `jax.errors.JaxRuntimeError`, when the kernel runs, for an operand,
    result or attribute that is missing, unknown, or of a wrong shape or type.
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
    constants = {name: _convert_attribute(x) for name, x in (attributes or {}).items()}
    outputs = function(
        *converted,
        operands=",".join(names),
        results=",".join(result_names),
        **constants,
    )
    return dict(zip(results, outputs, strict=True))


def get_shapes(arrays: Mapping[str, jax.Array]) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes, as `call` expects them of results."""
    return {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in arrays.items()}


def _convert_operand(x: jax.Array, dtype: np.dtype) -> jax.Array:
    """Convert real numbers to the precision of the results, integers to `int32`."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(dtype)
    return x.astype(jnp.int32) if jnp.issubdtype(x.dtype, jnp.integer) else x


def _convert_attribute(value: Attribute) -> Any:
    """Convert a value to a type that kernels accept."""
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
    """Load the library and register its targets.

    **Returns:** the library, or `None` and the reason why it cannot be used.
    """
    path = _find_library()
    if path is None:
        return None, _warn(
            "hopgym was installed without them, for example for lack of a C++ "
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
            f"they were built for XLA's interface {built}, but this jaxlib has "
            f"{running}: install hopgym again"
        )
    if _digest_sources(_SOURCES) not in (None, library.hopgym_sources().decode()):
        return None, _warn(
            f"they were built from other sources than those in {_SOURCES}: install "
            "hopgym again"
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
    """Warn that kernels are not used, and return the reason."""
    warnings.warn(
        f"hopgym's kernels for CPUs are not used: {why}", RuntimeWarning, stacklevel=4
    )
    return why


def _find_library() -> Path | None:
    beside = Path(__file__).with_name(LIBRARY)
    if beside.exists():
        return beside
    # In an editable installation the library is not beside the sources.
    try:
        files = importlib.metadata.files("hopgym") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == LIBRARY and Path(str(file.locate())).exists():
            return Path(str(file.locate()))
    return None


def _digest_sources(sources: Path) -> str | None:
    """SHA-256 of the kernels' sources, computed as in `native/CMakeLists.txt`.

    `None` if there are no sources: only editable installations have them.
    """
    patterns = ("*.cc", "*.h", "*.inl", "*.map", "CMakeLists.txt")
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
