"""What any test can ask for, and a cache of what they compile."""

import gc
import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from packaging.version import Version

# Before JAX is imported; workers and the commands under test inherit it. JAX compiles
# the same small operations in each of them, and again in the next run. What is loaded
# from the cache is compared with the features of the machine that compiled it, and
# LLVM's own inventions among these are reported on the standard error: only warnings
# of C++, which tests do not expect, are hidden with that.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    compiled = Path(__file__).parents[1] / "build" / "compiled"
    if sum(file.stat().st_size for file in compiled.glob("*")) > 1e9:
        shutil.rmtree(compiled)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(compiled)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Most of the time of the tests is compilation, and takes half as long without most of
# XLA's optimisations. With XLA_FLAGS= in the environment, programs are those of users:
# .ci/run tests those marked `optimised` in this way, too.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    # Releases up to 0.12 know it; to one that does not, it would be an error.
    + " --xla_cpu_use_fusion_emitters=false"
    * (Version(version("jaxlib")) < Version("0.13")),
)

import hypothesis
import jax
import jaxtyping
import pytest

# Files that take long.
LONG = ("train", "optimizers", "search", "evolution")
LONG += ("docs", "meta", "rollout", "speed")

# Tracing makes many objects and little garbage; by default a tenth of the time is
# spent on looking for the latter.
gc.set_threshold(100_000, 50, 100)


def pytest_collection_modifyitems(items):
    """Long files come first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in LONG)


# Profile of the fuzz tests: --hypothesis-profile=night.
hypothesis.settings.register_profile("night")


@pytest.fixture
def x64():
    """Double precision."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=[False, True], ids=["float32", "float64"])
def double(request):
    """Whether it is double precision: both by turns."""
    with jax.enable_x64(request.param):
        yield request.param


@pytest.fixture
def backend():
    """Chooses a backend; what was chosen before is chosen again at the end.

    JAX compiles everything for each choice, and what is in use is no other choice.
    """
    from hopgym import native  # not before types are checked

    def choose(name):
        if native._chosen.value == "auto" and native.backend() == name:
            return
        native.use_backend(name)

    before = native._chosen.get_global()
    yield choose
    native.use_backend(before)


@pytest.fixture
def launch():
    """Starts processes, as `subprocess.Popen`, and kills those that a test leaves."""
    started = []

    def start(*arguments, **options):
        started.append(subprocess.Popen(*arguments, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def unchecked():
    """No checks of types at run time, as for users: for values of wrong types."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
