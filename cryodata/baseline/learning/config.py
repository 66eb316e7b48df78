"""Every setting of a training run: a TOML file, a preset, or options of the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from cryodata.errors import UsageError

LOSSES = ("weighted", "plain", "focal", "dice")
OPTIMISERS = ("adamw", "nadam")
SCHEDULES = ("cosine", "plateau", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")


def _setting(default: Any, text: str, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What a run does. Names are the keys of the TOML file and, with dashes, the options of `cryodata train`."""

    labels: str = _setting("sphere:1.5", "label rule, as in load_dataset: nearest, sphere:R, stored, floor")
    split_by: str = _setting("", "split scheme of the dataset; its default if empty")
    train_split: str = _setting("train", "split that is learnt")
    validation_split: str = _setting("validation", "split that judges; none if empty")
    box: int = _setting(32, "voxels a side of what the network sees")
    core: int = _setting(20, "voxels a side that validation counts and prediction keeps")
    batch_size: int = _setting(16, "sub-grids of a batch, over all ranks")
    streams: int = _setting(8, "parts of an epoch that are read side by side; a multiple of the ranks")
    pool_volumes: int = _setting(0, "maps mixed at a time; 0 is one for each stream")
    balance: str = _setting(
        "atoms",
        "draws sub-grids by their C-alphas (box and core as in the dataset), each map alike, or as stored",
        ("atoms", "map", "none"),
    )
    rotate: str = _setting("cube", "random rotations: the 24 of a cube, any, or none", ("cube", "so3", "none"))
    workers: int = _setting(0, "processes that read; 1 keeps a GPU busy")
    seed: int = _setting(0, "of the order, the rotations and the first weights")

    network: str = _setting("residual", "the residual U-Net, or the UNETR of the paper", ("residual", "unetr"))
    heads: str = _setting(
        "atom,amino,secondary", "labels to learn, separated by commas; `amino` alone, as the paper does"
    )
    filters: int = _setting(32, "residual: channels of the finest level")
    blocks: str = _setting("1,2,2,4", "residual: blocks of each level")
    fold: int = _setting(1, "residual: voxels a side that are folded into channels first")
    scales: int = _setting(2, "residual: outputs that are trained, each half as fine as the one before")
    depth: int = _setting(12, "unetr: 4, 12 or 24 layers")
    dropout: float = _setting(0.1, "unetr: share of activations left out in training")
    sequences: str = _setting("", "unetr: safetensors file with a vector of 1,280 numbers for each entry_id")

    loss: str = _setting(
        "weighted", "of the atoms: cross entropy with the paper's class weights or none, focal, or with dice", LOSSES
    )
    head_weights: str = _setting("1,0.5,0.25", "share of each head in the loss, in the order of `heads`")
    optimiser: str = _setting("adamw", "how weights move", OPTIMISERS)
    learning_rate: float = _setting(1e-3, "highest")
    weight_decay: float = _setting(0.01, "adamw")
    schedule: str = _setting(
        "cosine", "cosine falls to 0; plateau divides by 10 after 10 epochs without gain", SCHEDULES
    )
    warmup: int = _setting(100, "steps until the learning rate is reached")
    clip: float = _setting(1.0, "largest norm of the gradient; 0 clips nothing")
    epochs: int = _setting(20, "passes over the training split")
    steps: int = _setting(0, "batches in all; overrides epochs unless 0")

    evaluate_every: int = _setting(0, "steps between validations; 0 is once an epoch")
    validation_batches: int = _setting(0, "batches of a validation; 0 is all")
    checkpoint_minutes: float = _setting(
        5.0, "between checkpoints; there is one at each validation and at the end besides"
    )
    precision: str = _setting("auto", "of the arithmetic; auto is bfloat16 on CUDA, float32 elsewhere", PRECISIONS)
    device: str = _setting("auto", "cpu, cuda, cuda:1; auto takes a GPU if there is one")
    threads: int = _setting(0, "of PyTorch on a CPU; 0 leaves it to PyTorch")

    def __post_init__(self) -> None:
        for item in fields(self):
            _check(item, getattr(self, item.name))
        least = ("box", "core", "batch_size", "streams", "fold", "scales")
        for name in least:
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.core > self.box or (self.box - self.core) % 2:
            raise UsageError(f"core is {self.core} of box {self.box}; expected an even difference, and no larger core")
        if not (self.epochs or self.steps):
            raise UsageError("epochs and steps are 0; expected one of them above")
        if len(self.weights) != len(self.names):
            raise UsageError(f"head_weights is {self.head_weights!r}; expected a number for each of {self.heads}")

    @property
    def names(self) -> tuple[str, ...]:
        """Heads."""
        return tuple(name.strip() for name in self.heads.split(",") if name.strip())

    @property
    def weights(self) -> tuple[float, ...]:
        """Share of each head; the first ones of `head_weights` if there are more."""
        return tuple(_number(text, "head_weights") for text in self.head_weights.split(","))[: len(self.names)]

    @property
    def levels(self) -> tuple[int, ...]:
        """Blocks of each level."""
        return tuple(int(_number(text, "blocks")) for text in self.blocks.split(","))


EXECUTION = ("workers", "device", "threads", "checkpoint_minutes")
"settings that a run may change when it goes on: the numbers do not follow from them"

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "reference": {},
    "quick": {"filters": 16, "blocks": "1,1,2", "scales": 1, "batch_size": 8, "streams": 1, "pool_volumes": 16,
              "learning_rate": 3e-3, "steps": 300, "evaluate_every": 100, "validation_batches": 12},
    "paper-atom": {"network": "unetr", "heads": "atom", "head_weights": "1", "labels": "stored", "balance": "none",
                   "rotate": "none", "optimiser": "nadam", "learning_rate": 1e-4, "schedule": "plateau", "warmup": 0,
                   "clip": 0.0, "batch_size": 48, "epochs": 100, "seed": 42},
    "paper-amino": {"network": "unetr", "heads": "amino", "head_weights": "1", "labels": "stored", "balance": "none",
                    "rotate": "none", "optimiser": "nadam", "learning_rate": 1e-4, "schedule": "plateau", "warmup": 0,
                    "clip": 0.0, "batch_size": 12, "epochs": 100, "seed": 42},
}  # fmt: skip
"""Settings that belong together. `reference`: the defaults. `quick`: a network that two cores train in minutes.
`paper-*`: the networks of Cryo2StructData, one a label, as its released scripts train them."""


def resolve_config(preset: str = "", file: Path | None = None, given: Mapping[str, Any] | None = None) -> TrainConfig:
    """Defaults, overridden by a preset, by a TOML file, by what was given; UsageError names what can't be taken."""
    if preset and preset not in PRESETS:
        raise UsageError(f"no preset '{preset}'; expected one of {', '.join(PRESETS)}")
    values = {**PRESETS.get(preset, {}), **(read_config(file) if file else {}), **(given or {})}
    unknown = sorted(values.keys() - {item.name for item in fields(TrainConfig)})
    if unknown:
        where = f"{file}: " if file else ""
        known = ", ".join(item.name for item in fields(TrainConfig))
        raise UsageError(f"{where}no setting {', '.join(unknown)}; expected some of {known}")
    return TrainConfig(**values)


def multiplies_bfloat16() -> bool:
    """Whether this CPU multiplies matrices of bfloat16 (AMX), several times as fast as float32; known on Linux only."""
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text("ascii", "replace")
    except OSError:
        return False


def read_config(file: Path) -> dict[str, Any]:
    """The keys of a TOML file."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: no TOML: {error}") from None


def to_toml(config: TrainConfig) -> str:
    """Every setting with its meaning; `read_config` reads it back."""
    lines = []
    for item in fields(config):
        value = getattr(config, item.name)
        written = f'"{value}"' if isinstance(value, str) else repr(value)
        lines.append(f"{item.name} = {written}  # {item.metadata['help']}")
    return "\n".join(lines) + "\n"


def differences(before: Mapping[str, Any], now: TrainConfig) -> list[str]:
    """What keeps a run from going on with other settings, in words."""
    values = asdict(now)
    changed = [name for name in values if name not in EXECUTION and before.get(name) != values[name]]
    return [f"{name} was {before.get(name)!r} and is {values[name]!r}" for name in changed]


def _check(item: Field[Any], value: Any) -> None:
    """UsageError unless the value is of the type of the default, and one of the choices."""
    if item.default is MISSING:
        return
    expected = type(item.default)
    fits = isinstance(value, (int, float) if expected is float else expected) and not isinstance(value, bool)
    if not fits or (not isinstance(value, str) and value < 0):
        what = "text" if expected is str else "a number of at least 0"
        raise UsageError(f"{item.name} is {value!r}; expected {what}: {item.metadata['help']}")
    if isinstance(value, str) and any(sign in value for sign in '"\\\n'):
        raise UsageError(f"{item.name} is {value!r}; expected text without quotes, backslashes and line breaks")
    choices = item.metadata["choices"]
    if choices and value not in choices:
        raise UsageError(f"{item.name} is {value!r}; expected one of {', '.join(choices)}")


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{name}: found {text!r}; expected numbers separated by commas") from None
    if value < 0:
        raise UsageError(f"{name}: found {text!r}; expected numbers of at least 0")
    return value
