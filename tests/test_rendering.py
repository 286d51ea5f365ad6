"""Pictures: colours, sizes, occlusion and robustness."""

import numpy as np
import pytest

from hopgym.rendering import COLOURS, draw, save_png

PAIR = np.array([[0.0, 0, 0], [1, 0, 0]])


def coloured(picture, code):
    """Share of the pixels whose hue is that of a colour."""
    pixels = picture.reshape(-1, 3).astype(float)
    wanted = np.array(list(bytes.fromhex(code)), float)
    wanted -= wanted.mean()
    spread = pixels - pixels.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(spread, axis=1) * np.linalg.norm(wanted)
    cosine = spread @ wanted / np.maximum(norms, 1e-9)
    return np.mean((cosine > 0.98) & (np.linalg.norm(spread, axis=1) > 40))


def test_format():
    picture = draw(PAIR, ["X", "X"], size=123)
    assert picture.shape == (123, 123, 3) and picture.dtype == np.uint8
    assert picture.min() < 120 and picture[0, 0].min() > 240


def test_elements_have_their_colours():
    both = draw(2.88 * PAIR, ["Au", "Cu"], size=200)
    assert coloured(both, COLOURS["Au"]) > 0.05
    gold = draw(2.88 * PAIR, ["Au", "Au"], size=200)
    assert coloured(gold, COLOURS["Au"]) > coloured(both, COLOURS["Au"])
    np.testing.assert_array_equal(
        draw(PAIR, ["Zz", "Zz"], size=50), draw(PAIR, ["X", "X"], size=50)
    )


def test_neighbours_touch():
    rows = draw(PAIR, ["X", "X"], size=400).astype(int)
    covered = np.abs(rows - rows[:, :1]).sum(axis=2) > 30
    columns = np.flatnonzero(covered.any(axis=0))
    gaps = np.diff(columns)
    assert gaps.max() <= 3 and len(columns) > 0.8 * 400


def test_apart_if_the_length_is_given():
    rows = draw(PAIR, ["X", "X"], size=400, length=0.5).astype(int)
    covered = np.abs(rows - rows[:, :1]).sum(axis=2) > 30
    assert np.diff(np.flatnonzero(covered.any(axis=0))).max() > 20


def test_the_nearer_atom_hides_the_other():
    towards_viewer = np.array([-0.390, 0.296, 0.872])
    line = np.array([-2.0, 2.0])[:, None] * towards_viewer
    picture = draw(line, ["Au", "Cu"], size=200)
    assert picture[100, 100, 0] > picture[100, 100, 1] > picture[100, 100, 2]
    swapped = draw(-line, ["Au", "Cu"], size=200)
    assert coloured(swapped, COLOURS["Au"]) > 2 * coloured(picture, COLOURS["Au"])


def test_views():
    """Seen along the line of two atoms, one hides the other, in any orientation."""
    towards_viewer = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    for order in range(3):
        view = np.roll(towards_viewer, order, axis=0)
        line = np.array([-2.0, 2.0])[:, None] * view[2]
        picture = draw(line, ["Au", "Cu"], size=200, view=view)
        assert coloured(picture, COLOURS["Cu"]) > 0.1
        assert coloured(picture, COLOURS["Au"]) == 0


def test_box():
    box = np.full(3, 4.0)
    inside = draw(PAIR + 1, ["Si", "Si"], box, size=200)
    np.testing.assert_array_equal(draw(PAIR - 3, ["Si", "Si"], box, size=200), inside)
    free = draw(PAIR + 1, ["Si", "Si"], size=200)
    assert not np.array_equal(free, inside)


def test_translation_and_caption():
    plain = draw(PAIR, ["X", "X"], size=200)
    difference = draw(PAIR + 7, ["X", "X"], size=200).astype(int) - plain
    assert np.abs(difference).mean() < 0.1
    titled = draw(PAIR, ["X", "X"], size=200, caption="E = -1.000 $\\unknown é")
    assert titled[-30:].min() < 120
    draw(PAIR, ["X", "X"], size=40, caption="much longer than the picture is wide")


@pytest.mark.parametrize("factor", [0.0, 1e-12, 1e6, 1e15])
def test_any_finite_positions(factor):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(5, 3)) * factor
    for box in (None, np.full(3, 5.0)):
        assert draw(points, ["X"] * 5, box, size=64).shape == (64, 64, 3)
        draw(points, ["X"] * 5, box, size=64, length=1.0)


def test_one_that_has_flown_off_does_not_shrink_the_rest():
    cube = np.stack(np.meshgrid(*[[0.0, 1]] * 3), axis=-1).reshape(-1, 3)
    near = draw(cube, ["X"] * 8, size=100)
    gone = draw(np.vstack([cube, [[1e4, 0, 0]]]), ["X"] * 9, size=100)
    assert gone.shape == near.shape


@pytest.mark.parametrize(
    ("points", "symbols", "message"),
    [
        (PAIR, ["X"], "symbol for each"),
        (PAIR[:, :2], ["X", "X"], r"shape|type-check"),
        (PAIR * np.nan, ["X", "X"], "finite"),
    ],
)
def test_bad_arguments(points, symbols, message):
    with pytest.raises(Exception, match=f"(?i){message}"):
        draw(points, symbols)


def test_save(tmp_path):
    picture = draw(PAIR, ["X", "X"], size=50)
    save_png(tmp_path / "pair.png", picture)
    import matplotlib.image

    stored = matplotlib.image.imread(tmp_path / "pair.png")
    np.testing.assert_allclose(stored[..., :3] * 255, picture, atol=0.6)
