"""What does predicting a whole map cost beyond the network's own forward passes, in time and memory?

A made-up map of noise (what it holds changes nothing) goes through a network with fresh weights, windows as
`cryodata predict` chooses them; the forward passes alone run on as many windows that are there already. Seconds are of
the processor, user and system; memory is the peak of the process above what it took with the libraries loaded and the
weights in place. Shows nothing of accuracy, of several threads, or of a GPU.

    python -m benchmarks.baseline.predict --work DIR                      218 cubed, result kept
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import record
from cryodata.baseline.learning.config import resolve_config
from cryodata.baseline.learning.heads import heads_of
from cryodata.baseline.learning.runs import RunCard, write_card, write_weights
from cryodata.baseline.learning.windows import Predictor, bare_seconds, windows_of
from cryodata.baseline.network import NetworkSpec, make_network
from cryodata.baseline.predict import Asked, predict, prepared
from cryodata.core.volume import Volume
from cryodata.formats.mrc import write_map

CLASSES = {"atom": 3, "amino": 20, "secondary": 3}
"classes of each label of cryo2struct, without the background"

MARGIN = 12
"box - core of the published sub-grids"


def fresh_run(folder: Path, preset: str) -> RunCard:
    """A run of a preset with weights that nobody trained."""
    config = resolve_config(preset)
    names = {head: tuple(f"{head}{n}" for n in range(CLASSES[head])) for head in config.names}
    heads = heads_of(names, conditional=config.network == "residual")
    channels = sum(head.channels for head in heads)
    spec = NetworkSpec(
        config.network, channels, config.filters, config.levels, config.fold, config.scales, depth=config.depth
    )
    card = RunCard(spec, heads, "published", 1.0, config.labels, config.box, config.core, "none@0.1.0", "", {})
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    write_card(folder, card)
    write_weights(folder, make_network(spec))
    return card


def measure(folder: Path, side: int, preset: str) -> dict[str, Any]:
    """Seconds and memory of one prediction, and seconds of its forward passes alone."""
    torch.set_num_threads(1)
    noise = np.random.Generator(np.random.PCG64(0)).standard_normal((side, side, side), dtype=np.float32)
    write_map(folder / "map.mrc.gz", Volume(noise, np.ones(3), np.zeros(3)))
    del noise
    card = fresh_run(folder / "run", preset)
    network = make_network(card.spec)
    predictor = Predictor(network, card.heads, torch.device("cpu"), "float32")
    windows = windows_of((side, side, side), card.spec, card.box, card.core)
    before = _peak()
    began = time.process_time()
    predict(folder / "map.mrc.gz", [folder / "run"], folder / "out", Asked(precision="float32"))
    whole, peak = time.process_time() - began, _peak()
    began = time.process_time()
    prepared(folder / "map.mrc.gz", card.recipe, card.spacing)
    preparing = time.process_time() - began
    bare = bare_seconds(predictor, windows, 1, time.process_time)
    return {
        "preset": preset,
        "side": side,
        "box": windows.grid.box,
        "core": windows.grid.core,
        "windows": len(windows.grid),
        "seconds": round(whole, 2),
        "preparing": round(preparing, 2),
        "bare": round(bare, 2),
        "ratio": round(whole / bare, 3),
        "peak_mb": round((peak - before) / 1e6),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, help="Folder for what is made; a temporary one if not given.")
    parser.add_argument("--side", type=int, default=218)
    parser.add_argument("--preset", default="quick")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        row = measure(Path(folder), given.side, given.preset)
    print(row)
    record(f"baseline-predict-{given.preset}", ("torch", "monai", "zarr"), row)


if __name__ == "__main__":
    main()
