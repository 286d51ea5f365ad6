"""The plan of a training: all settings that determine its weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from hopgym._cli.arguments import MAX_COUNT
from hopgym._schema import (
    FLAG,
    OBJECT,
    TEXT,
    Kind,
    Schema,
    check,
    choice,
    integer,
    list_of,
    nullable,
    number,
    optional,
    row_of,
)
from hopgym.meta.strategies import (
    STRATEGIES,
    AbstractSettings,
    AbstractStrategy,
    get_strategy,
)
from hopgym.meta.unroll import HIT_KINDS, LOSS_KINDS, check_loss, check_withheld
from hopgym.optimizers.learned.weights import ARCHITECTURE_SCHEMA

COUNT = integer(1, MAX_COUNT)
DURATIONS = ("unroll", "truncation", "decay_every")  # in steps or updates
MAX_RUNS = 100_000  # of an update, or held-out starts: all are held in memory at once
SCHEMA: Schema = {  # of stored plans
    "systems": list_of(row_of(integer(), TEXT)),
    "unroll": list_of(row_of(integer(), COUNT)),
    "strategy": TEXT,
    "settings": OBJECT,
    "loss": optional(choice(*LOSS_KINDS)),
    "bounded": optional(FLAG),
    "polish": optional(integer(0, MAX_COUNT)),
    "architecture": optional(OBJECT),
    "start_from": optional(nullable(TEXT)),
    "epochs": optional(nullable(TEXT)),
    "withheld": optional(number(0.0)),
    "rates": optional(nullable(TEXT)),
    "only": optional(list_of(TEXT)),
    "seed": optional(integer(0, MAX_COUNT)),
    "evaluate_every": optional(COUNT),
    "evaluation_starts": optional(integer(1, MAX_RUNS)),
    "evaluation_steps": optional(COUNT),
    "evaluation_systems": optional(list_of(TEXT)),
}


@dataclass(frozen=True)
class TrainingPlan:
    """All settings that determine the weights of a training.

    **Arguments:**

    - `systems`, `unroll`: names of systems, and numbers of steps per run, each with the
      update from which it holds.
    - `strategy`: a name in [`hopgym.meta.STRATEGIES`][].
    - `settings`: meta-hyper-parameters of the strategy; `None` for its defaults.
    - `loss`, `bounded`, `polish`: see [`hopgym.meta.meta_loss`][].
    - `architecture`: `name` and options of the optimizer, as arguments of
      `hopgym.optimizers.learned.make_untrained`.
    - `start_from`: trained optimizer with the initial weights, by name or file.
    - `epochs`: folder of recorded epochs, see [`hopgym.meta.ReplayedUnroll`][]: the
      choice of groups is trained and evaluated on these, and nothing else is trained;
      `None` trains all weights on runs.
    - `withheld`: fraction of these runs in which the hits of one family of groups do
      not count.
    - `rates`: folder of recorded epochs: runs draw groups in proportion to the hits per
      evaluation that were recorded there, and what these epochs depend on is trained.
    - `only`: names of the constants of a search that are trained, by default all that
      apply.
    - `seed`: random seed.
    - `evaluate_every`: number of updates between evaluations on held-out starts, which
      determine the best weights.
    - `evaluation_starts`, `evaluation_steps`: number of held-out starts, and of steps
      from each.
    - `evaluation_systems`: names of held-out systems; by default those of the training.

    **Raises:** `KeyError` for an unknown strategy; `ValueError` for settings of another
    strategy, an unknown loss, numbers out of range, or no system or number of steps for
    update 0.
    """

    systems: list[tuple[int, str]]
    unroll: list[tuple[int, int]]
    strategy: str = "esmc"
    settings: AbstractSettings | None = None
    loss: str = "final"
    bounded: bool = True
    polish: int = 1000
    architecture: dict[str, Any] = field(default_factory=lambda: {"name": "learn2hop"})
    start_from: str | None = None
    epochs: str | None = None
    withheld: float = 0.0
    rates: str | None = None
    only: list[str] = field(default_factory=list)
    seed: int = 0
    evaluate_every: int = 10
    evaluation_starts: int = 40
    evaluation_steps: int = 2000
    evaluation_systems: list[str] = field(default_factory=list)

    def __post_init__(self):
        if not self.systems or not self.unroll:
            raise ValueError("systems and unroll must not be empty")
        for what, entries in (("systems", self.systems), ("unroll", self.unroll)):
            if min(update for update, _ in entries) > 0:
                raise ValueError(f"{what} has no entry for update 0")
        shortest = min(length for _, length in self.unroll)
        if shortest < 1:
            raise ValueError(f"unroll must be at least 1, got {shortest}")
        expected = get_strategy(self.strategy).settings_class
        if not isinstance(self.settings, expected | None):
            raise ValueError(
                f"settings of {self.strategy} must be {expected.__name__}, got "
                f"{type(self.settings).__name__}"
            )
        check_loss(self.loss)
        if self.epochs is not None and self.loss not in HIT_KINDS:
            raise ValueError(
                f"epochs are for the losses {' and '.join(HIT_KINDS)}, and the loss is "
                f"{self.loss}"
            )
        if self.epochs is not None and self.rates is not None:
            raise ValueError(
                "epochs train the choice of groups, rates the rules of their epochs: "
                "only one of them can be given"
            )
        if self.only and self.epochs is not None:
            raise ValueError("epochs train the choice of groups, not single constants")
        check_withheld(self.withheld)
        if self.withheld and self.epochs is None:
            raise ValueError("hits are withheld of recorded epochs only")
        for name in ("evaluate_every", "evaluation_starts", "evaluation_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in self.evaluation_systems:
            if self.evaluation_systems.count(name) > 1:
                raise ValueError(f"evaluation_systems has {name} twice")
        if self.polish < 0:
            raise ValueError(f"polish must not be negative, got {self.polish}")

    @property
    def strategy_settings(self) -> AbstractSettings:
        """`settings`, or the defaults of the strategy."""
        return self.settings or get_strategy(self.strategy).settings_class()

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data, for the headers of checkpoints and weights."""
        return {
            **dataclasses.asdict(self),
            "systems": [list(entry) for entry in self.systems],
            "unroll": [list(entry) for entry in self.unroll],
            "settings": dataclasses.asdict(self.strategy_settings),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> TrainingPlan:
        """Make a plan from the entries of a header.

        Settings of other strategies are ignored.

        **Raises:** `ValueError` for entries that are absent, of another kind or unknown
        to this version of hopgym; `KeyError` for an unknown strategy.
        """
        check(stored, SCHEMA, "its plan", closed=True)
        if "architecture" in stored:
            check(stored["architecture"], ARCHITECTURE_SCHEMA, "its architecture")
        settings = stored["settings"]
        check(settings, _settings_schema(), "the settings of its plan", closed=True)
        strategy = get_strategy(stored["strategy"])
        own = {name: settings[name] for name in get_names(strategy) if name in settings}
        return cls(
            **{
                **stored,
                "systems": [tuple(entry) for entry in stored["systems"]],
                "unroll": [tuple(entry) for entry in stored["unroll"]],
                "settings": strategy.settings_class(**own),
            }
        )


def get_names(strategy: type[AbstractStrategy]) -> list[str]:
    """Names of the meta-hyper-parameters of a strategy."""
    return [entry.name for entry in dataclasses.fields(strategy.settings_class)]


def _settings_schema() -> Schema:
    """Kinds of the settings of all strategies."""
    return {
        entry.name: _get_kind(entry)
        for strategy in STRATEGIES.values()
        for entry in dataclasses.fields(strategy.settings_class)
    }


def _get_kind(entry: dataclasses.Field[Any]) -> Kind:
    if not isinstance(entry.default, int):
        return optional(number(0.0))
    return optional(COUNT if entry.name in DURATIONS else integer(1, MAX_RUNS))
