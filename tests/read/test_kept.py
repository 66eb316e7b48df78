"""What a filter keeps is found once for each table and condition, and remembered in few bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryodata.build.dataset import Report
from cryodata.errors import UsageError
from cryodata.formats import row_groups
from cryodata.formats.cache import Cache
from cryodata.read import filters
from cryodata.read.decode import Volumes
from cryodata.read.filters import as_expression, kept_subgrids
from cryodata.read.kept import Kept
from cryodata.torch import SubgridStream

SOME = [("n_ca_core", ">", 0)]


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Tables that are scanned, from an empty cache on."""
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "cache"))
    seen: list[str] = []

    def counted(path: Path) -> Any:
        seen.append(path.name)
        return row_groups.iterate_subgrids(path)

    monkeypatch.setattr(filters, "iterate_subgrids", counted)
    return seen


def test_a_bit_for_each_sub_grid_says_which_are_kept() -> None:
    kept = Kept.none(np.array([3, 8, 9]))  # 1 + 1 + 2 bytes

    kept.add(np.array([0, 1, 1, 2, 2]), np.array([2, 0, 7, 8, 1]))

    assert len(kept.bits) == 4
    assert [kept[volume].tolist() for volume in range(3)] == [[2], [0, 7], [1, 8]]
    assert kept.counts.tolist() == [1, 2, 2]


def test_it_is_what_the_table_says(
    decoder: Volumes, scans: list[str], simulated: Report, subgrid_rows: list[dict[str, Any]]
) -> None:
    kept = kept_subgrids(decoder, as_expression(SOME))

    volumes = {row["volume"] for row in subgrid_rows}
    for volume in volumes:
        mine = [row for row in subgrid_rows if row["volume"] == volume]
        expected = [place for place, row in enumerate(mine) if row["n_ca_core"] > 0]
        assert 0 < len(expected) < len(mine)
        assert kept[volume].tolist() == expected
        assert kept.counts[volume] == len(expected)


def test_tables_are_scanned_once_for_all_splits_and_processes(
    decoder: Volumes, scans: list[str], simulated: Report
) -> None:
    first = kept_subgrids(decoder, as_expression(SOME))
    tables = len(scans)
    again = kept_subgrids(decoder, as_expression(SOME))
    elsewhere = kept_subgrids(Volumes(decoder.key), as_expression(SOME))  # as in another process

    assert tables == len(decoder.opened.tables("subgrids-")) == len(scans)
    assert again is first
    assert np.array_equal(elsewhere.bits, first.bits)

    kept_subgrids(decoder, as_expression([("n_ca_core", ">", 1)]))

    assert len(scans) == 2 * tables


def test_a_damaged_file_in_the_cache_is_made_again(decoder: Volumes, scans: list[str], tmp_path: Path) -> None:
    first = kept_subgrids(decoder, as_expression(SOME))
    (file,) = (tmp_path / "cache").glob("*/*.made")
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)

    again = kept_subgrids(Volumes(decoder.key), as_expression(SOME))

    assert np.array_equal(again.bits, first.bits)
    assert Cache(tmp_path / "cache", 1 << 20).made(file.stem) == first.bits.tobytes()


def test_a_cache_that_can_not_be_written_is_done_without(
    decoder: Volumes, scans: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").write_text("mine")
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "other"))

    assert kept_subgrids(decoder, as_expression(SOME)).counts.sum() > 0
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_an_unknown_column_is_refused_and_not_remembered(decoder: Volumes, scans: list[str], tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(UsageError, match=r"^filter: .*; columns are volume, start_zyx"):
            kept_subgrids(decoder, as_expression([("n_atoms", ">", 0)]))

    assert list(tmp_path.glob("cache/*/*.made")) == []


def test_what_was_made_is_evicted_as_other_objects_are(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1000)
    for number in range(4):
        cache.keep_made(f"{number}" * 64, bytes(300))

    assert cache.made("3" * 64) == bytes(300)
    assert sum(path.stat().st_size for path in (tmp_path / "cache").glob("*/*")) <= 1000


def test_several_processes_may_keep_the_same(simulated: Report, tmp_path: Path) -> None:
    code = (
        "import sys; from cryodata.torch import SubgridStream; "
        "print(len(SubgridStream(sys.argv[1], split='train', batch_size=8, filter=[('n_ca_core', '>', 0)])))"
    )
    environment = {"CRYODATA_CACHE": str(tmp_path / "cache"), "PATH": "", "HOME": str(tmp_path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(simulated.folder)], stdout=subprocess.PIPE, env=environment, text=True
        )
        for _ in range(3)
    ]
    found = {process.communicate()[0] for process in running}
    expected = len(SubgridStream(str(simulated.folder), split="train", batch_size=8, filter=SOME))

    assert found == {f"{expected}\n"}
    assert len(list((tmp_path / "cache").glob("*/*"))) == 1
