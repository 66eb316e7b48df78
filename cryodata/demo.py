"""The whole way on simulated maps, in a minute: what `cryodata demo` does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.build.dataset import build
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.build.verify import verify_version
from cryodata.console import Console
from cryodata.errors import CryodataError, UsageError
from cryodata.formats.manifest import list_versions
from cryodata.formats.versions import open_version
from cryodata.read.load import load_dataset

NAME, VERSION, MAPS = "simulated", "0.1.0", 8
BATCH = 16


def run_demo(root: Path, png: Path, workers: int, console: Console) -> None:
    """Build, verify, stream, draw. Raises UsageError if what the demo needs is not installed."""
    plt = _pyplot()
    root = root.resolve()
    versions = list_versions(root / NAME)
    if versions and versions != [VERSION]:
        raise UsageError(f"{root / NAME} holds {', '.join(versions)}; the demo wants a root of its own: --root DIR")
    console.print(f"1. Build {MAPS} simulated maps with their models (about 100 A), {workers} workers")
    request = Request(NAME, root, version=VERSION, settings=(f"maps={MAPS}",), crew=Crew(workers))
    try:
        with console.progress("building simulated") as observe:
            report = build(request, observe)
    except UsageError as error:
        if not versions:
            raise
        # most likely made by another release: the demo has no --version to give it
        raise UsageError(f"{error}; for the demo remove {root / NAME}, or give --root DIR") from None
    counts = report.manifest.counts
    made = f"{counts['entries']} entries, {sum(counts['subgrids'].values()):,} sub-grids"
    console.print(f"   {made} in {report.seconds:.1f} s")
    console.print("2. Verify: hash every object, decode every volume, recount every label")
    with console.steps("verifying simulated") as step:
        result = verify_version(open_version(root, NAME, VERSION), True, step)
    if result.faults:
        raise CryodataError(f"the demo's dataset has faults: {'; '.join(result.faults[:3])}")
    console.print(f"   no faults; C-alphas recovered: {result.checked['C-alphas recovered']}")
    console.print(f"3. Stream the training split through a PyTorch DataLoader, batches of {BATCH}")
    subgrids, seconds = _stream(root)
    console.print(f"   {subgrids:,} sub-grids in {seconds:.1f} s: {subgrids / seconds:,.0f} a second")
    _draw(root, png, plt)
    if console.as_json:
        console.show_json(
            {
                "folder": str(report.folder),
                "png": str(png.resolve()),
                "entries": report.manifest.counts["entries"],
                "subgrids": report.manifest.counts["subgrids"],
                "subgrids_per_second": round(subgrids / seconds),
            }
        )
    console.print(f"4. Picture: {png.resolve()}")
    console.print(f"\nEverything is in {report.folder}. What next:")
    console.print(f"   cryodata info {NAME} --root {root}")
    console.print("   cryodata build cryo2struct --source DIR     your own maps: a folder with entries.csv")
    console.print(f'   python -c \'from cryodata import load_dataset as l; print(next(iter(l("{NAME}", split="train",')
    console.print(f'             streaming=True, root="{root}"))))\'')


def _pyplot() -> Any:
    try:
        import matplotlib
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(f"the demo needs {error.name}: pip install 'cryodata[demo]'") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _stream(root: Path) -> tuple[int, float]:
    """Number of sub-grids of the training split, and the seconds to read them as batches of tensors."""
    from torch.utils.data import DataLoader

    stream = load_dataset(NAME, split="train", streaming=True, root=root, columns=["density", "atom", "amino"])
    began, count = time.perf_counter(), 0
    for batch in DataLoader(stream, batch_size=BATCH):
        count += len(batch["density"])
    return count, time.perf_counter() - began


def _draw(root: Path, png: Path, plt: Any) -> None:
    """Three slices of one map with its labels over them: density, atoms, residue types, secondary structure."""
    from matplotlib.colors import ListedColormap

    schema = open_version(root, NAME, VERSION).manifest.schema
    volume = next(iter(load_dataset(NAME, "volumes", split="validation", streaming=True, root=root)))
    labels = schema.labels
    # a slab of 5 A holds enough atoms to see the chain; the label on top is the last along z
    middle = int(np.argmax(np.count_nonzero(volume["atom"], axis=(1, 2))))
    slab = slice(max(middle - 2, 0), middle + 3)
    figure, panels = plt.subplots(1, 1 + len(labels), figsize=(4.2 * (1 + len(labels)), 4.6), constrained_layout=True)
    for panel, array in zip(panels, (schema.density, *labels), strict=True):
        panel.imshow(volume["density"][slab].mean(axis=0), cmap="gray", origin="lower", vmin=0, vmax=1)
        panel.set_title(array.name)
        panel.set_xlabel("x, A")
        if array.role == "label":
            top = volume[array.name][slab].max(axis=0)
            colors = ListedColormap([item.color for item in array.classes])
            y, x = np.nonzero(top)
            panel.scatter(x, y, c=top[y, x], cmap=colors, vmin=0.5, vmax=len(array.classes) + 0.5, s=14, linewidths=0)
            if len(array.classes) <= 4:
                for item in array.classes:
                    panel.scatter([], [], c=item.color, label=item.name, s=20)
                panel.legend(loc="upper right", fontsize=8)
    panels[0].set_ylabel("y, A")
    figure.suptitle(
        f"{volume['entry_id']}: simulated at {volume['resolution']:g} A, 5 A slab of density and its labels"
    )
    figure.savefig(png, dpi=110)
    plt.close(figure)
