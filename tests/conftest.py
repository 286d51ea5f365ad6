"""What any test can ask for."""

import jax
import pytest


@pytest.fixture
def x64():
    """Double precision."""
    with jax.enable_x64(True):
        yield
