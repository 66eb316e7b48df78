"""A run's folder: what a network is, its weights, and the state from which training goes on. No pickles."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cryodata.baseline.learning.heads import Head
from cryodata.baseline.network import NetworkSpec, make_network
from cryodata.errors import DatasetError, UsageError
from cryodata.prepare.recipes import RECIPES

FORMAT = 1
RUN, WEIGHTS, CHECKPOINT, CONFIG = "run.json", "weights.safetensors", "checkpoint.pt", "config.toml"

MAX_RUN_BYTES = 1 << 20
"a run.json is a few kB; more is not read"

LABEL_SHIFT = {"floor": 0.5}
"A that a label rule moves labels toward the origin by, on each axis, on average; 0 for all others"


@dataclass(frozen=True, slots=True)
class RunCard:
    """What prediction needs to know of a run, besides its weights."""

    spec: NetworkSpec
    heads: tuple[Head, ...]
    recipe: str
    "of the dataset: what was done to the densities"

    spacing: float
    "A, of the dataset's voxels"

    labels: str
    "label rule that was trained"

    box: int
    core: int
    dataset: str
    "name@version"

    manifest: str
    "sha256 of the manifest of that version"

    settings: Mapping[str, Any]
    "every setting of the run"

    @property
    def label_offset(self) -> float:
        """A to add to x, y and z of what is found."""
        rule = self.labels.partition(":")[0]
        if rule == "stored" and self.recipe in RECIPES:
            rule = RECIPES[self.recipe].voxel_rule
        return LABEL_SHIFT.get(rule, 0.0)

    def to_json(self) -> dict[str, Any]:
        """JSON values, read by `read_card`."""
        return {"format": FORMAT, **asdict(self), "settings": dict(self.settings)}


def write_card(folder: Path, card: RunCard) -> None:
    """Write run.json."""
    replace_file(folder / RUN, json.dumps(card.to_json(), indent=1).encode() + b"\n")


def read_card(folder: Path) -> RunCard:
    """The card of a run. UsageError if the folder holds none, DatasetError if it can't be read."""
    path = folder / RUN
    if not path.is_file():
        raise UsageError(f"{folder} holds no {RUN}; expected the folder of a run of `cryodata train`")
    try:
        if path.stat().st_size > MAX_RUN_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        value = json.loads(path.read_bytes())
        if value.pop("format") != FORMAT:
            raise ValueError(f"not of format {FORMAT}")
        spec = value.pop("spec")
        spec["blocks"] = tuple(spec["blocks"])
        heads = tuple(Head(head["name"], tuple(head["classes"]), head["conditional"]) for head in value.pop("heads"))
        return RunCard(spec=NetworkSpec(**spec), heads=heads, **value)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: no card of a run ({error}); expected what `cryodata train` writes") from None


def write_weights(folder: Path, network: nn.Module) -> None:
    """Keep the weights of a network as safetensors."""
    from safetensors.torch import save

    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    replace_file(folder / WEIGHTS, save(state))


def load_network(folder: Path) -> tuple[RunCard, nn.Module, str]:
    """Card, network with its weights, in evaluation, and the sha256 of these. DatasetError if they don't belong."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    card, path = read_card(folder), folder / WEIGHTS
    if not path.is_file():
        raise UsageError(f"{folder} holds no {WEIGHTS} yet; let `cryodata train` come to its first validation")
    raw = path.read_bytes()
    network = make_network(card.spec)
    try:
        network.load_state_dict(load(raw))
    except (SafetensorError, RuntimeError) as error:
        raise DatasetError(f"{path}: not the weights of the network in {RUN}: {error}") from None
    return card, network.eval(), hashlib.sha256(raw).hexdigest()


def write_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Keep a state of tensors, numbers, texts and containers of these, whole or not at all."""
    part = folder / f".{CHECKPOINT}.{os.getpid()}"
    torch.save(dict(state), part)
    os.replace(part, folder / CHECKPOINT)


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The last state, on the CPU; None if there is none. Nothing but plain data is unpickled."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise DatasetError(f"{path}: can't be read ({error}); remove it to begin anew") from None
    return state


def read_sequences(path: Path) -> dict[str, Tensor]:
    """A vector for each entry_id, float32 (1280,), of a safetensors file. DatasetError if it holds anything else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from cryodata.baseline.learning.unetr import SEQUENCE

    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DatasetError(f"{path}: no safetensors file ({error})") from None
    for name, vector in found.items():
        if vector.shape != (SEQUENCE,):
            raise DatasetError(f"{path}: {name} has shape {tuple(vector.shape)}; expected ({SEQUENCE},)")
    return {name: vector.float() for name, vector in found.items()}


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    os.replace(part, path)
