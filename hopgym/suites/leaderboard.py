"""The leaderboard of verified entries.

`python -m hopgym.suites.leaderboard --help`
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hopgym._atomic_write import atomic_write
from hopgym._cli.arguments import Parser, describe_error
from hopgym._cli.process import run as run_command
from hopgym._cli.progress import say
from hopgym.evaluation.figure_file import choose_colours, save_figure
from hopgym.evaluation.markdown import format_markdown
from hopgym.suites.entry import HEADER, find_structures
from hopgym.suites.registry import SUITES, get_suite
from hopgym.suites.score import (
    DEFINITION,
    Score,
    compute_ratios,
    compute_score,
    describe_hits,
)
from hopgym.suites.suite import RULESETS, Suite
from hopgym.suites.verified import FILE, Verified, hash_files, read

PAGE = "leaderboard.md"
PICTURE = "leaderboard.png"
Ranked = tuple[Verified, Score]
FACTORS = (1, 2, 10)  # of performance profiles in the table


def load_shipped(suite: str) -> list[Verified]:
    """The verified entries that come with hopgym."""
    folder = resources.files("hopgym") / "data" / "leaderboard"
    if not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir())
    with resources.as_file(folder) as where:
        found = [read(where / name) for name in names if name.endswith(".json")]
    return [one for one in found if one.header.suite == suite]


def load_entry(path: Path) -> Verified:
    """Load a verified entry: its folder, or what `verify` has written.

    **Raises:** `ValueError` if the entry is not verified, or has changed since;
    `OSError` if it cannot be read.
    """
    if not path.is_dir():
        return read(path)
    if not (path / FILE).exists():
        raise ValueError(
            f"{path} is not verified: python -m hopgym.suites.verify {path}"
        )
    verified = read(path / FILE)
    paths = find_structures(path, get_suite(verified.header.suite))
    if hash_files({HEADER: path / HEADER, **paths}) != verified.files:
        raise ValueError(
            f"{path} has changed since it was verified: "
            f"python -m hopgym.suites.verify {path}"
        )
    return verified


def _fold(entry: Verified) -> str:
    """The name of an entry, by which two that look alike are told."""
    return entry.header.name.strip().casefold()


def rank(entries: Iterable[Verified]) -> list[Ranked]:
    """Entries with their scores, the best first; incomplete ones last."""
    scored = [(one, compute_score(one)) for one in entries]
    return sorted(
        scored, key=lambda pair: (not pair[0].is_complete, -pair[1].score, pair[1].gap)
    )


def format_ranking(ranked: Sequence[Ranked], suite: Suite) -> str:
    """Format the table of all entries, in Markdown."""
    complete = [one for one, _ in ranked if one.is_complete]
    shares = [
        [f"{np.mean(row <= factor):.0%}" for factor in FACTORS]
        for row in compute_ratios(complete)
    ]
    head = ["rank", "entry", "authors", "ruleset", "score [95%]"]
    head += [f"hits at {budget:,}" for budget in suite.budgets]
    head += ["solved", "mean gap"]
    head += ["best" if k == 1 else f"within {k}x" for k in FACTORS]
    rows = []
    for number, (one, score) in enumerate(ranked):
        header = one.header
        row = [header.name, ", ".join(header.authors), header.ruleset]
        solved = f"{score.solved} of {len(one.systems)}"
        if one.is_complete:
            row = [str(number + 1), *row, format_score(score)]
            row += [f"{rate:.1f}%" for rate in score.rates]
            gap = f"{score.gap:.4f}" if np.isfinite(score.gap) else "infinite"
            row += [solved, gap, *shares[number]]
        else:  # nothing that could be compared with the others
            blank = ["" for _ in suite.budgets]
            row = ["-", *row, "", *blank, solved, "", *("" for _ in FACTORS)]
        rows.append(row)
    return format_markdown(head, [map(_escape, row) for row in rows])


def format_score(score: Score) -> str:
    """Format a score with its interval."""
    text = f"{score.score:.1f}"
    if score.low == score.high:  # no start or every start hits
        return text
    return f"{text} [{score.low:.1f}, {score.high:.1f}]"


def format_systems(ranked: Sequence[Ranked], suite: Suite) -> str:
    """Format the hits of each entry on each test system, in Markdown."""
    rows = [
        [
            system,
            *(
                describe_hits(one.systems[system], suite)
                if system in one.systems
                else ""
                for one, _ in ranked
            ),
        ]
        for system in suite.test
    ]
    names = [_escape(one.header.name) for one, _ in ranked]
    return format_markdown(["system", *names], rows)


def format_notes(ranked: Sequence[Ranked]) -> str:
    """What each entry is and how it was tuned, and what verification found."""
    lines = []
    for one, _ in ranked:
        header = one.header
        name, tuning = _escape(header.name), _escape(header.tuning)
        text = f"- **{name}** ({header.ruleset}): {tuning}"
        if header.reference:
            text += f" ({_escape(header.reference)})"
        text += "."
        unconfirmed = sum(found.unconfirmed for found in one.systems.values())
        if unconfirmed:
            text += f" {unconfirmed} claimed hits were not confirmed."
        for system, found in one.systems.items():
            if found.discoveries:
                text += (
                    f" Found {found.discoveries[0]:.6f} on {system}, below the lowest "
                    "energy known."
                )
        lines.append(text)
    return "\n".join(lines)


def _escape(text: str) -> str:
    """Escape what Markdown would take for a table or markup."""
    for sign in "\\|*_`<>[]!&~":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def format_page(ranked: Sequence[Ranked], suite: Suite) -> str:
    """The page of the documentation."""
    rules = "\n".join(f"- *{name}*: {text}." for name, text in RULESETS.items())
    parts = [
        f"# Leaderboard of suite {suite.version}",
        f"{len(suite.test)} systems, {suite.starts} starts of each, "
        f"{suite.steps:,} evaluations per start, counted as in the "
        "[protocol](protocol.md). [How to enter](benchmark.md).",
        f"{DEFINITION} *Solved* are systems with at least one hit. *Mean gap* is the "
        "energy per atom above the lowest known of the quenched best structures after "
        "all evaluations, in energy units of the system, and the median over systems. "
        "Entries that lack systems have no rank and no score. The last columns are a "
        "performance profile: on what share of the systems an entry needs the fewest "
        "evaluations per hit, or at most 2 or 10 times as many; misses count as "
        "infinite.",
        f"Rulesets, as declared by the authors:\n\n{rules}",
        format_ranking(ranked, suite),
        f"![Performance profile]({PICTURE})",
        "## Systems",
        "Hits in percent after all evaluations, with Wilson's 95% interval, and "
        "evaluations per hit (of all starts until their first hit or the end).",
        format_systems(ranked, suite),
        "## Entries",
        format_notes(ranked),
    ]
    return "\n\n".join(parts) + "\n"


def plot_profile(ranked: Sequence[Ranked], suite: Suite) -> Figure:
    """Plot the share of systems within a factor of the fewest evaluations per hit."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    complete = [one for one, _ in ranked if one.is_complete]
    colours = choose_colours(one.header.name for one in complete)
    for one, ratios in zip(complete, compute_ratios(complete), strict=True):
        finite = np.sort(ratios[np.isfinite(ratios)])
        shares = np.arange(1, len(finite) + 1) / len(suite.test)
        axes.step(
            np.append(finite, 1e3),
            np.append(shares, shares[-1:] if len(shares) else 0),
            where="post",
            label=one.header.name.lstrip("_"),
            color=colours[one.header.name],
        )
    axes.set_xscale("log")
    axes.set_xlim(1, 1e3)
    axes.set_ylim(0, 1)
    axes.set_xlabel("evaluations per hit, divided by the fewest of all entries")
    axes.set_ylabel("share of test systems")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if complete:
        figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: done. 1: the page could not be written. 2: invalid arguments, or entries that are
    not verified.
    """
    parser = Parser(
        prog="leaderboard.py",
        description="Rank verified entries, beside those that come with hopgym.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    what = "their folders, or files that verify has written"
    add("entries", nargs="*", type=Path, metavar="ENTRY", help=what)
    add("--suite", choices=list(SUITES), default=list(SUITES)[-1], help="its version")
    add("--out", type=Path, metavar="DIR", help=f"write {PAGE} and {PICTURE} there")
    args = parser.parse_args(arguments)
    suite = get_suite(args.suite)
    try:
        entries = {_fold(one): one for one in load_shipped(suite.version)}
        for path in args.entries:
            one = load_entry(path)
            if one.header.suite != suite.version:
                raise ValueError(
                    f"{path} is an entry of suite {one.header.suite}, not of "
                    f"{suite.version}"
                )
            other = entries.setdefault(_fold(one), one)
            if other.files != one.files:
                raise ValueError(
                    f"{path} has the name of another entry, {one.header.name!r}: "
                    "choose another --name"
                )
        if not entries:
            raise ValueError("there are no entries yet: name some")
    except (ValueError, OSError) as error:
        parser.fail(error)
    ranked = rank(entries.values())
    print(format_ranking(ranked, suite))
    if args.out is None:
        return 0
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        atomic_write(args.out / PAGE, format_page(ranked, suite))
        save_figure(args.out / PICTURE, plot_profile(ranked, suite))
    except OSError as error:
        say(f"error: cannot write: {describe_error(error)}")
        return 1
    say(f"{PAGE} and {PICTURE} in {args.out}")
    return 0


if __name__ == "__main__":
    run_command(main)
