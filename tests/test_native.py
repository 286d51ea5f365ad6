"""Kernels in C++: the library, and the switch between it and JAX."""

import threading
from pathlib import Path

import jax
import pytest
from kernel_cases import needs_kernels

from hopgym import native


def test_the_switch(backend):
    with pytest.raises(ValueError, match="a backend is one of"):
        native.use_backend("cuda")
    with pytest.raises(ValueError, match="at least one thread"), native.threads(0):
        pass
    backend("xla")
    assert native.backend() == "xla"
    with native.using("auto"):
        assert native._chosen.value == "auto"
    assert native._chosen.value == "xla"
    with (
        native._chosen("fast"),
        pytest.raises(ValueError, match="HOPGYM_BACKEND must be one of"),
    ):
        native.backend()


def test_a_library_that_does_not_fit_is_not_loaded(monkeypatch, tmp_path):
    load = native._load_library.__wrapped__
    monkeypatch.setattr(native, "_find_library", lambda: None)
    with pytest.warns(RuntimeWarning, match="installed without them"):
        assert load()[0] is None
    (tmp_path / "broken.so").write_text("no library")
    monkeypatch.setattr(native, "_find_library", lambda: tmp_path / "broken.so")
    with pytest.warns(RuntimeWarning, match="cannot be loaded"):
        assert load()[0] is None
    monkeypatch.setattr(native, "_load_library", lambda: (None, "no compiler"))
    with native.using("auto"):
        assert native.backend() == "xla"
    with pytest.raises(RuntimeError, match="cannot be used: no compiler"):
        native.use_backend("native")


@needs_kernels
def test_functions_are_compiled_for_each_backend(backend):
    traced = []

    def both_parts(x):
        return native.dispatch(lambda x: x + 1.0, lambda x: x + 2.0, x)

    @jax.jit
    def compute(x):
        traced.append(native.backend())
        of_a_loop, _ = jax.lax.scan(lambda y, _: (both_parts(y), None), x, length=1)
        return of_a_loop, both_parts(x)

    backend("xla")
    of_a_thread = []
    for _ in range(2):
        assert compute(0.0) == (2.0, 2.0)
        with native.using("native"):
            assert compute(0.0) == (1.0, 1.0)
            other = threading.Thread(target=lambda: of_a_thread.append(compute(0.0)))
            other.start()
            other.join()
    assert of_a_thread == [(2.0, 2.0)] * 2
    backend("native")
    assert compute(0.0) == (1.0, 1.0)
    assert traced == ["xla", "native"]


@needs_kernels
def test_a_library_from_other_sources_is_not_loaded(monkeypatch, tmp_path):
    load = native._load_library.__wrapped__
    for path in (Path(__file__).parents[1] / "native").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "notes.txt").write_text("not a source")
    monkeypatch.setattr(native, "_SOURCES", tmp_path)
    assert load()[0] is not None
    with (tmp_path / "lbfgs.inl").open("a") as file:
        file.write("// changed")
    with pytest.warns(RuntimeWarning, match="built from other sources .* install"):
        assert load()[0] is None


@needs_kernels
def test_a_library_for_another_interface_is_not_loaded(monkeypatch):
    load = native._load_library.__wrapped__
    for running in ((0, 0), (9, 9), None):
        monkeypatch.setattr(
            native, "_read_running_version", lambda found=running: found
        )
        with pytest.warns(RuntimeWarning, match="built for XLA's interface"):
            assert load()[0] is None
