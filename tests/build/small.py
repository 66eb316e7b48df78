"""Small builds: of simulated maps, and from a folder with two of them."""

from __future__ import annotations

from pathlib import Path

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request

TINY = ("maps=2", "residues=40")


def simulate(root: Path, *settings: str, version: str | None = None) -> Report:
    return build(Request("simulated", root, version=version, settings=(*TINY, *settings)))


def source_folder(simulated: Report, folder: Path, rows: list[str], header: str = "entry_id,map,model") -> Path:
    """A source folder over the simulated maps; rows may use {map1}, {model1}, {map2}, {model2}."""
    made = next(path for path in (simulated.folder / "source").iterdir())
    files = {
        f"{kind}{i}": str(made / f"SIM-{i:05d}{suffix}")
        for i in (1, 2)
        for kind, suffix in (("map", ".map.gz"), ("model", ".cif"))
    }
    folder.mkdir(exist_ok=True)
    text = "\n".join([header, *(row.format(**files) for row in rows)]) + "\n"
    (folder / "entries.csv").write_text(text, encoding="utf-8")
    return folder
