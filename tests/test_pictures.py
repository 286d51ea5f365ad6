"""Pictures of the documentation: structures and epochs as searches find them."""

import matplotlib.image
import numpy as np
import pytest

import hopgym
from benchmarks import epoch_figure, gallery
from hopgym import structures


def test_gallery(tmp_path, capsys):
    path = tmp_path / "new" / "picture.png"
    arguments = ["--systems", "LJ-13", "--starts", "2", "--steps", "1000"]
    assert gallery.main([str(path), *arguments]) == 0
    height, width, _ = matplotlib.image.imread(path).shape
    assert width == height == gallery.SIZE
    assert "LJ-13: -44.3268" in capsys.readouterr().out


def test_views_are_along_axes():
    system = hopgym.get_system("LJ-75")
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    points = np.asarray(structures.decahedron()) @ turn.T
    axis = gallery.find_axis(points + 3, system)
    # The five-fold axis of the decahedron is along z.
    assert abs(axis @ turn[:, 2]) == pytest.approx(1, abs=1e-5)
    view = gallery.choose_view(points, system)
    np.testing.assert_allclose(view @ view.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view) == pytest.approx(1)
    assert view[2] @ axis == pytest.approx(np.cos(gallery.TILT))


def test_epoch(tmp_path):
    path = tmp_path / "epoch.png"
    arguments = ["LJ-13", str(path), "--starts", "2", "--steps", "1000"]
    assert epoch_figure.main(arguments) == 0
    height, width, _ = matplotlib.image.imread(path).shape
    assert width in [n * height for n in range(2, epoch_figure.SHOWN + 1)]


def test_quenches_of_an_epoch():
    system = hopgym.get_system("LJ-13")
    quenches = epoch_figure.follow(system, seed=0, starts=2, steps=1000)
    assert quenches[-1].energy < float(system.reference) + 0.02
    assert quenches[0].energy > quenches[-1].energy
    # One epoch, so one group.
    assert len({quench.group for quench in quenches}) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["LJ-13", "--starts", "2", "--steps", "9"], "no start of seed 0 finds"),
        (["Gupta-Au55-table4"], "Gupta-Au55-table4 has no reference energy"),
        (["LJ-75a"], "LJ-75a"),
    ],
)
def test_epochs_that_cannot_be_drawn(tmp_path, capsys, arguments, message):
    path = tmp_path / "epoch.png"
    with pytest.raises(SystemExit) as done:
        epoch_figure.main([arguments[0], str(path), *arguments[1:]])
    assert done.value.code == 2 and message in capsys.readouterr().err
    assert not path.exists()


def test_pictures_that_cannot_be_drawn(tmp_path, capsys):
    for arguments, message in (
        ([tmp_path / "g.jpg"], "does not end with .png"),
        ([tmp_path / "g.png", "--systems", "LJ-5x"], "LJ-5x"),
    ):
        with pytest.raises(SystemExit) as done:
            gallery.main([str(one) for one in arguments])
        assert done.value.code == 2 and message in capsys.readouterr().err
