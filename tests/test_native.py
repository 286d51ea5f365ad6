"""Kernels in C++: the library, and the switch between it and JAX."""

from pathlib import Path

import pytest
from kernel_cases import needs_kernels

from hopgym import native


def test_the_switch(backend, monkeypatch):
    with pytest.raises(ValueError, match="a backend is one of"):
        native.use_backend("cuda")
    with pytest.raises(ValueError, match="at least one thread"), native.threads(0):
        pass
    backend("xla")
    assert native.backend() == "xla"
    with native.using("auto"):
        assert native._chosen == "auto"
    assert native._chosen == "xla"
    monkeypatch.setattr(native, "_chosen", "fast")
    with pytest.raises(ValueError, match="HOPGYM_BACKEND must be one of"):
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
    monkeypatch.setattr(native, "_chosen", "auto")
    assert native.backend() == "xla"
    with pytest.raises(RuntimeError, match="cannot be used: no compiler"):
        native.use_backend("native")


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
