"""What `cryodata baseline` does: a plan of a few numbers, from which every stage follows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from cryodata.baseline.learning.config import PRESETS, TrainConfig, multiplies_bfloat16, resolve_config
from cryodata.core.layout import canonical_json
from cryodata.errors import UsageError

FOLDS = 4
"parts of the simulated maps: each is held out once by a plan of four folds"

SIMULATED, REAL = "simulated", "real"


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of a baseline; each is changed with --set NAME=VALUE, as is every setting of `cryodata train`."""

    name: str
    "quick or full"

    maps: int
    "simulated maps; every fourth is held out"

    residues: int
    "of each simulated model, in two chains"

    resolution: float
    "A, of the simulated maps"

    noise: float
    "standard deviation of their noise, as a share of the density's"

    folds: int
    "how many of the four parts are held out in turn"

    max_resolution: float
    "A, of the real entries that are taken"

    rotations: int
    "of each window whose predictions are averaged"

    method: str
    "of tracing, as `cryodata trace --method` names it"

    training: Mapping[str, Any]
    "settings of `cryodata train` that differ from its defaults"

    real_training: Mapping[str, Any]
    "those for the real entries, over `training`"

    def __post_init__(self) -> None:
        if not 1 <= self.folds <= FOLDS:
            raise UsageError(f"folds is {self.folds}; expected 1 to {FOLDS}")
        if self.maps < FOLDS:
            raise UsageError(f"maps is {self.maps}; expected at least {FOLDS}, so that every fold holds one out")

    def config(self, part: str) -> TrainConfig:
        """Settings of the training on the simulated or the real maps."""
        return resolve_config("", None, {**self.training, **(self.real_training if part == REAL else {})})

    @property
    def digest(self) -> str:
        """Names the datasets: other maps, another digest."""
        values = [getattr(self, name) for name in ("maps", "residues", "resolution", "noise", "max_resolution")]
        return hashlib.sha256(canonical_json(values)).hexdigest()[:8]


QUICK = Plan(
    name="quick",
    maps=16,
    residues=240,
    resolution=3.0,
    noise=0.1,
    folds=1,
    max_resolution=5.0,
    rotations=1,
    method="default",
    training={**PRESETS["quick"], "steps": 1200, "evaluate_every": 300},
    real_training={},
)
"""A small network, one of the four folds: minutes on two cores."""

FULL = Plan(
    name="full",
    maps=64,
    residues=240,
    # mean B of 4 x resolution^2: 60 A^2, as the published measurements have it for maps of 3 A
    resolution=3.87,
    noise=0.1,
    folds=FOLDS,
    max_resolution=5.0,
    rotations=4,
    method="default",
    training={"epochs": 40, "pool_volumes": 48, "workers": 1},
    real_training={"epochs": 60, "pool_volumes": 8},
)
"""Four folds, the reference network; for a GPU."""

FULL_ON_CPU = replace(
    FULL,
    maps=32,
    rotations=1,
    training={**PRESETS["quick"], "steps": 2400, "evaluate_every": 200, "pool_volumes": 24},
    real_training={},
)
"""What two cores do in about two hours: half the maps, the small network."""


def plan_for(name: str, settings: Sequence[str], cuda: bool) -> Plan:
    """The plan of a name with KEY=VALUE settings; without `cuda` the small network. UsageError names what is wrong."""
    plan = QUICK if name == "quick" else FULL if cuda else FULL_ON_CPU
    if not cuda and multiplies_bfloat16():
        plan = replace(plan, training={**plan.training, "precision": "bfloat16"})
    own: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text}: expected KEY=VALUE")
        kinds = {**{item.name: item.default for item in fields(TrainConfig)}, **_kinds(plan)}
        if key not in kinds:
            known = ", ".join([*_kinds(plan), *(item.name for item in fields(TrainConfig))])
            raise UsageError(f"--set {text}: no setting '{key}'; expected one of {known}")
        (own if key in _kinds(plan) else training)[key] = _typed(text, value, type(kinds[key]))
    merged = {**plan.training, **training}
    result = replace(plan, **own, training=merged, real_training={**plan.real_training, **training})
    for part in (SIMULATED, REAL):
        result.config(part)
    return result


def _kinds(plan: Plan) -> dict[str, Any]:
    """Settings of the plan itself, with their present values."""
    return {key: value for key, value in asdict(plan).items() if key != "name" and not isinstance(value, Mapping)}


def _typed(text: str, value: str, kind: type) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"--set {text}: expected {'a whole number' if kind is int else 'a number'}") from None
