"""What the fuzz tests share: how many examples they try, and their strategies.

In the test suite they are few and always the same; with --hypothesis-profile=night they
are many and new.
"""

import hypothesis
import hypothesis.strategies as st
import numpy as np

NIGHT = hypothesis.settings.get_current_profile_name() == "night"


def fuzz(examples: int, **strategies):
    """Decorator of a test with arguments drawn from strategies.

    **Arguments:**

    - `examples`: how many are tried in the test suite.
    - `strategies`: by name of the argument.
    """
    settings = hypothesis.settings(
        max_examples=examples * (1000 if NIGHT else 1),
        derandomize=not NIGHT,
        database=None,
        deadline=None,
        suppress_health_check=[
            hypothesis.HealthCheck.too_slow,
            hypothesis.HealthCheck.data_too_large,
            hypothesis.HealthCheck.large_base_example,
            hypothesis.HealthCheck.function_scoped_fixture,
        ],
    )

    def decorate(test):
        return settings(hypothesis.given(**strategies)(test))

    return decorate


FLOATS = st.floats(width=32)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
SEEDS = st.integers(0, 2**32 - 1)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def structures(draw, atoms: int, spacing: float) -> np.ndarray:
    """Finite positions: scattered, collapsed, exploded, coincident, or anything."""
    if draw(st.booleans()):
        numbers = draw(st.lists(FINITE, min_size=3 * atoms, max_size=3 * atoms))
        return np.array(numbers, np.float32).reshape(atoms, 3)
    rng = np.random.default_rng(draw(SEEDS))
    positions = rng.uniform(-1, 1, (atoms, 3)) * spacing
    positions *= 10.0 ** draw(st.integers(-44, 37))
    for _ in range(draw(st.integers(0, atoms))):
        one, other = (draw(st.integers(0, atoms - 1)) for _ in range(2))
        positions[one] = positions[other] + draw(st.sampled_from([0, 1e-30, 1e-6]))
    return positions.astype(np.float32)


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """Content of a file with a few changes: cut, overwritten, repeated or replaced."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(len(changed), 1)))
        length = draw(st.sampled_from([0, 1, 2, 8, 64, len(changed)]))
        piece = draw(
            st.binary(max_size=8)
            | st.just(bytes(changed[start : start + length]) * 2)
            | st.sampled_from(
                [b"\n\n", b"\0", b"\xff", b"nan", b"-1", b"1e999", b"{", b'"']
            )
        )
        changed[start : start + length] = piece
    return bytes(changed)


@st.composite
def altered(draw, entries: dict) -> dict:
    """A JSON object with some entries replaced, removed, or new, at any depth."""
    changed = dict(entries)
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(changed) or ["name"]))
        action = draw(st.sampled_from(["replace", "remove", "add", "descend"]))
        if action == "descend" and isinstance(changed.get(name), dict):
            changed[name] = draw(altered(changed[name]))
        elif action == "remove":
            changed.pop(name, None)
        elif action == "add":
            changed[draw(st.text(max_size=4))] = draw(JSON)
        else:
            changed[name] = draw(
                JSON | st.sampled_from([0, -1, 10**9, 2**70, "", "LJ-7"])
            )
    return changed
