"""The figure of hits against evaluations."""

import numpy as np
import pytest
from benchmark_cells import make_cell
from matplotlib.colors import to_rgb

from benchmarks import hits_figure
from hopgym.evaluation.figure_file import PLACES, choose_colours

CELLS = [
    make_cell("a", "LJ-5", [300, -1, 200, 400]),
    make_cell("b", "LJ-5", [-1, -1, -1, -1]),
    make_cell("a", "LJ-6", [500, 600, 700, 50]),
    {"optimizer": "a", "system": "Gupta-Au7", "hits": None},
]


def test_curves_are_shares_of_starts():
    first, second = hits_figure.draw(CELLS).axes
    assert [first.get_title(), second.get_title()] == ["LJ-5", "LJ-6"]
    own = {
        to_rgb(line.get_color()): line
        for line in first.lines
        if np.size(line.get_xdata())
    }
    colours = choose_colours("ab")
    found, none = own[colours["a"]], own[colours["b"]]
    assert np.asarray(found.get_xdata()).tolist() == [100, 200, 300, 400, 1000]
    assert np.asarray(found.get_ydata()).tolist() == [0, 0.25, 0.5, 0.75, 0.75]
    assert np.asarray(none.get_ydata()).tolist() == [0, 0]
    (line,) = second.lines
    assert np.asarray(line.get_xdata()).tolist() == [100, 100, 500, 600, 700, 1000]


def test_colours_of_optimizers_do_not_depend_on_the_others():
    own = [f"own-{k}" for k in range(30)]
    some = choose_colours([*own, "adam", "bh-symmetric"])
    few = choose_colours(["bh-symmetric", *PLACES])
    assert some["bh-symmetric"] == few["bh-symmetric"] and some["adam"] == few["adam"]
    assert len(set(few.values())) == len(PLACES)
    assert not {some[name] for name in own[:8]} & {some["adam"], some["bh-symmetric"]}


def test_the_last_row_may_have_gaps():
    cells = [make_cell("a", f"LJ-{k}", [200, -1]) for k in range(5, 11)]
    assert len(hits_figure.draw(cells).axes) == 8


def test_command(tmp_path, capsys):
    path = tmp_path / "hits.svg"
    record = "benchmarks/results/yardstick"
    assert hits_figure.main([record, str(path), "--optimizers", "bh-symmetric"]) == 0
    assert path.read_text().rstrip().endswith("</svg>")
    with pytest.raises(SystemExit) as stopped:
        hits_figure.main([record, str(path), "--optimizers", "bh-symmetri"])
    assert stopped.value.code == 2
    assert "unknown optimizer 'bh-symmetri'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        hits_figure.main([str(tmp_path), str(path)])
    assert stopped.value.code == 2
    with pytest.raises(ValueError, match="no system with a known minimum"):
        hits_figure.draw(CELLS[-1:])
