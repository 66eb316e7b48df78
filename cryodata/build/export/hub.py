"""A version as a repository of the Hugging Face Hub can hold it, with the card in front.

    DIR/README.md                            the card; its header leads the Hub's viewer and `datasets` to the tables
    DIR/NAME/latest.json  versions/  tables/ as everywhere
    DIR/NAME/volumes/8f/EMD-3488-8f1c….ozx   a volume as one file, whose objects are ranges of its bytes

The Hub takes 100,000 files; a volume has 13 objects, which would end at 7,700 maps.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from cryodata.build.export import Exported, Observe
from cryodata.build.verify_tables import read_objects
from cryodata.build.workspace import remove_stale, temporary_folder
from cryodata.core.layout import manifest_path, version_key
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.card import relocated
from cryodata.formats.manifest import list_versions
from cryodata.formats.packs import MAX_BYTES, pack_bytes, pack_path, write_pack
from cryodata.formats.tables import file_digest
from cryodata.formats.versions import DatasetVersion

MAX_FILES, MAX_IN_FOLDER, MAX_FILE_BYTES = 100_000, 10_000, 50 * 10**9
"of a repository of the Hub: huggingface.co/docs/hub/storage-limits"

FRONT = ("README.md", ".gitattributes", "latest.json", "manifest")
"what an export has besides volumes and tables"

ATTRIBUTES = "*.ozx filter=lfs diff=lfs merge=lfs -text\n*.parquet filter=lfs diff=lfs merge=lfs -text\n"

READING = """
## Reading it from here

The subsets above are the tables. Volumes are read by cryodata, from this repository as from anywhere:

```python
ds = load_dataset("{name}", split="train", streaming=True,
                  root="https://huggingface.co/datasets/OWNER/REPOSITORY/resolve/main")
```
"""

ADVICE = "hf upload-large-folder OWNER/REPOSITORY {folder} --repo-type dataset"


def export(opened: DatasetVersion, to: Path, observe: Observe, dry_run: bool = False) -> Exported:
    """Write the layout, or say how large it would be. Raises as `export_version` does."""
    manifest, objects = opened.manifest, read_objects(opened)
    folder = to / manifest.name
    packs = _packs(objects)
    sizes = {
        pack: pack_bytes({name: objects[path][0] for name, path in names.items()}) for pack, names in packs.items()
    }
    _check(to, opened, sizes)
    size = sum(file.bytes for file in manifest.files.values()) + sum(sizes.values())
    if dry_run:
        there = sum(_is_there(folder / pack, sizes[pack]) for pack in packs)
        files = len(packs) + len(manifest.files) + len(FRONT)
        return Exported(to, files, size, there, ADVICE.format(folder=to), dry_run=True)
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    reused, total = 0, len(packs)
    observe(0, total)
    with temporary_folder(folder) as temporary:
        for done, (pack, names) in enumerate(sorted(packs.items()), 1):
            if _is_there(folder / pack, sizes[pack]):
                reused += 1
            else:
                _write_pack(opened, objects, names, temporary / "pack")
                _place(temporary / "pack", folder / pack)
            observe(done, total)
        for name in sorted(manifest.files):
            shutil.copyfile(opened.table(name), temporary / "table")
            found, expected = file_digest(temporary / "table", name)[2], manifest.files[name].sha256
            if found != expected:
                raise DatasetError(f"{manifest.tables}/{name}: sha256 {found}; expected {expected}")
            _place(temporary / "table", folder / manifest.tables / name)
        _write_front(opened, to, temporary)
        (temporary / "manifest").write_bytes(_manifest_bytes(opened))
        _place(temporary / "manifest", folder / manifest_path(manifest.version))
        highest = list_versions(folder)[-1]
        _place_text(f'{{"version":"{highest}"}}\n', folder / "latest.json", temporary)
    return Exported(to, _count(to), size, reused, ADVICE.format(folder=to))


def _manifest_bytes(opened: DatasetVersion) -> bytes:
    """The manifest as it is: its hash is what the version is known by."""
    return opened.place.manifest(opened.manifest.version, opened.sha256)


def _packs(objects: Mapping[str, tuple[int, str]]) -> dict[str, dict[str, str]]:
    """The archives, and of each the names in it with the paths of the objects; metadata first."""
    packs: dict[str, dict[str, str]] = {}
    for path in sorted(objects, key=lambda path: (not path.endswith("zarr.json"), path.count("/"), path)):
        packed = pack_path(path)
        if packed is not None:
            packs.setdefault(packed[0], {})[packed[1]] = path
    return packs


def _write_pack(
    opened: DatasetVersion, objects: Mapping[str, tuple[int, str]], names: Mapping[str, str], target: Path
) -> None:
    """Write the archive of one volume."""
    with ExitStack() as stack:
        files = [
            (name, stack.enter_context(opened.open(path, *objects[path])), *objects[path])
            for name, path in names.items()
        ]
        write_pack(target, files)


def _check(to: Path, opened: DatasetVersion, sizes: Mapping[str, int]) -> None:
    """UsageError for a folder that holds something else, and for what the Hub does not take. sizes: of each archive."""
    folder = to / opened.manifest.name
    others = [path.name for path in to.glob("*") if not path.name.startswith(".")] if to.is_dir() else []
    if others and not folder.is_dir():
        raise UsageError(f"{to} holds other things, such as {min(others)}; name a folder that is new or empty")
    there = folder / manifest_path(opened.manifest.version)
    if there.exists() and there.read_bytes() != _manifest_bytes(opened):
        raise UsageError(f"{there} is another {folder.name}@{opened.manifest.version}; name another folder")
    files = _count(to) + sum(not (folder / pack).exists() for pack in sizes) + len(opened.manifest.files) + len(FRONT)
    most = max(Counter(pack.rpartition("/")[0] for pack in sizes).values(), default=0)
    if files > MAX_FILES or most > MAX_IN_FOLDER:
        raise UsageError(
            f"{to} would have {files:,} files, {most:,} of them in one folder; the Hub takes {MAX_FILES:,} in a "
            f"repository and {MAX_IN_FOLDER:,} in a folder: export into another one, or fewer entries"
        )
    large = [pack for pack, size in sizes.items() if size > MAX_BYTES]
    large += [name for name, file in opened.manifest.files.items() if file.bytes > MAX_FILE_BYTES]
    if large:
        raise UsageError(f"{large[0]} would be too large: {MAX_BYTES:,} bytes at most for a volume")


def _write_front(opened: DatasetVersion, to: Path, temporary: Path) -> None:
    """What lies at the top: the card of the highest version, and what Git is to know."""
    manifest = opened.manifest
    others = list_versions(to / manifest.name)
    if others and version_key(others[-1]) > version_key(manifest.version):
        return
    card = relocated(opened.table("README.md").read_text(encoding="utf-8"), f"{manifest.name}/{manifest.tables}")
    _place_text(card.rstrip("\n") + "\n" + READING.format(name=manifest.name), to / "README.md", temporary)
    _place_text(ATTRIBUTES, to / ".gitattributes", temporary)


def _is_there(file: Path, size: int) -> bool:
    """A file is renamed into its place when it is whole, and its name says its content."""
    return file.is_file() and file.stat().st_size == size


def _place_text(text: str, target: Path, temporary: Path) -> None:
    (temporary / "text").write_text(text, encoding="utf-8")
    _place(temporary / "text", target)


def _place(made: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(made, target)


def _count(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))
