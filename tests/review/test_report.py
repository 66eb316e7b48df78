"""`cryodata report`: one page that holds all it shows, whatever the tables of a dataset say."""

from __future__ import annotations

import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.cli import app
from cryodata.review.along import with_figures
from cryodata.review.charts import histogram, png, refused, thumbnail

HOSTILE = '<script>alert(1)</script>"><img src=http://evil.example/x onerror=alert(2)>'


class Page(HTMLParser):
    """Elements and attributes of a page, and whether every element is closed."""

    EMPTY = ("meta", "img", "br", "rect", "path", "polyline")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def report(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments, "--root", str(root)])


def checked(path: Path) -> Page:
    """The page, which may fetch and run nothing."""
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    assert {tag for tag, _ in page.found}.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "a", "form", "base"}
    )
    for _, attributes in page.found:
        assert not any(name.startswith("on") for name in attributes)
        assert str(attributes.get("src", "data:")).startswith("data:image/png;base64,") or "src" not in attributes
    return page


def test_the_page_of_a_version_tells_its_entries_and_shows_its_maps(simulated: Report, tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.html"

    done = report(simulated.folder.parent, "simulated", "--out", str(out), "--json")

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told == {"dataset": "simulated@0.1.0", "page": str(out), "entries": 4, "rejected": {}, "duplicates": []}
    page = checked(out)
    assert sum(tag == "img" for tag, _ in page.found) == 4
    assert sum(tag == "svg" for tag, _ in page.found) > 4
    text = out.read_text(encoding="utf-8")
    assert all(f"<b>SIM-0000{number}</b>" in text for number in range(1, 5))


def test_the_same_version_gives_the_same_page(simulated: Report, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        assert report(simulated.folder.parent, "simulated@0.1.0", "--out", str(tmp_path / name)).exit_code == 0

    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_the_page_tells_what_the_splits_let_through_unless_told_not_to(simulated: Report, tmp_path: Path) -> None:
    texts = []
    for name, option in (("with", "--leakage"), ("without", "--no-leakage"), ("default", "--thumbnails=48")):
        out = tmp_path / f"{name}.html"
        assert report(simulated.folder.parent, "simulated", "--out", str(out), option).exit_code == 0
        checked(out)
        texts.append(out.read_text(encoding="utf-8"))

    assert "<th>above 90%</th>" in texts[0]
    assert "Not measured: <code>cryodata report --leakage</code>" in texts[1]
    assert texts[2] == texts[0]


def test_as_many_thumbnails_as_wanted(simulated: Report, tmp_path: Path) -> None:
    for wanted in (0, 3):
        out = tmp_path / f"{wanted}.html"
        done = report(simulated.folder.parent, "simulated", "--out", str(out), "--thumbnails", str(wanted))

        assert done.exit_code == 0, done.output
        assert sum(tag == "img" for tag, _ in checked(out).found) == wanted


def test_hostile_texts_of_a_source_stay_texts(simulated: Report, tmp_path: Path) -> None:
    made = next(path for path in (simulated.folder / "source").iterdir())
    quoted = HOSTILE.replace('"', '""')
    lines = ["entry_id,emdb_id,pdb_id,map,model,resolution"]
    lines += [f'OK,,"{quoted}",{made}/SIM-00001.map.gz,{made}/SIM-00001.cif,3.5']
    lines += [f'TWO,,"{quoted}",{made}/SIM-00002.map.gz,{made}/SIM-00002.cif,3.5']
    lines += [f'"BAD",,,"{tmp_path}/<b onclick=x>.map",{made}/SIM-00001.cif,3.5']
    (tmp_path / "<b onclick=x>.map").write_bytes(b"no map")
    (tmp_path / "entries.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    build(Request("cryo2struct", tmp_path / "root", tmp_path, version="0.1.0"))

    done = report(tmp_path / "root", "cryo2struct", "--out", str(tmp_path / "page.html"), "--json")

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rejected"] == {"unreadable_map": 1}
    checked(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text
    assert "<script" not in text and "<b onclick" not in text


def test_a_version_without_entries_has_a_page(tmp_path: Path, simulated: Report) -> None:
    made = next(path for path in (simulated.folder / "source").iterdir())
    (tmp_path / "entries.csv").write_text(f"entry_id,map\nX,{made}/SIM-00001.map.gz\n", encoding="utf-8")
    build(Request("cryo2struct", tmp_path / "root", tmp_path, version="0.1.0"))

    done = report(tmp_path / "root", "cryo2struct", "--out", str(tmp_path / "page.html"))

    assert done.exit_code == 0, done.output
    assert "resolution_out_of_range" in (tmp_path / "page.html").read_text(encoding="utf-8")
    checked(tmp_path / "page.html")


def test_the_bars_of_a_histogram_hold_every_value_and_one_value_has_a_bar() -> None:
    many = histogram(np.random.default_rng(0).normal(0, 1, 500).tolist(), "many")
    one = histogram([2.5], "one")
    zero = histogram([0.0, 0.0], "zero")

    assert many.count("<rect") > 15
    assert one.count("<rect") == zero.count("<rect") == 1


def test_a_threshold_refuses_what_is_below_it_and_what_is_unknown() -> None:
    svg = refused([1.0, 2.0, 3.0, None], "least")
    points = re.search(r'points="([^"]+)"', svg)
    assert points is not None
    heights = [float(point.partition(",")[2]) for point in points[1].split()]
    base, top = 170 - 34, 10

    # at the lowest value nothing but the unknown one is refused, at the highest two more
    assert heights[0] == pytest.approx(base - (base - top) * 1 / 4, abs=0.06)
    assert heights[-1] == pytest.approx(base - (base - top) * 3 / 4, abs=0.06)
    assert heights == sorted(heights, reverse=True)


def test_a_thumbnail_is_dark_where_the_map_is_dense_and_y_points_up() -> None:
    data = np.zeros((4, 30, 50), dtype=np.float16)
    data[:, 25:, :5] = 1.0  # high y, low x: top left

    small = thumbnail(data, 25)

    assert small.shape == (15, 25)
    assert small[0, 0] == 0
    assert small[-1, -1] == small[-1, 0] == 255


def test_a_png_holds_the_pixels() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    body = png(grey)
    data = body[body.index(b"IDAT") + 4 :]

    rows = np.frombuffer(zlib.decompressobj().decompress(data), dtype=np.uint8).reshape(3, 5)

    assert body.startswith(b"\x89PNG\r\n\x1a\n")
    np.testing.assert_array_equal(rows[:, 1:], grey)


def test_figures_that_are_no_numbers_are_left_out() -> None:
    row = with_figures(
        {"entry_id": "A", "fit": "high", "q_mean": float("nan"), "resolution": float("inf"), "saturated": 3}
    )

    assert (row["fit"], row["q_mean"], row["resolution"], row["saturated"]) == (None, None, None, 3)
    assert row["entry_id"] == "A"


def test_a_map_under_two_ids_is_told_by_the_card_and_the_page(simulated: Report, tmp_path: Path) -> None:
    made = next(path for path in (simulated.folder / "source").iterdir())
    rows = [f"{name},{made}/SIM-00001.map.gz,{made}/SIM-0000{name[-1]}.cif,3.5" for name in ("TWIN-1", "TWIN-2")]
    (tmp_path / "entries.csv").write_text("\n".join(["entry_id,map,model,resolution", *rows]) + "\n", encoding="utf-8")
    root = tmp_path / "root"
    build(Request("cryo2struct", root, tmp_path, version="0.1.0", settings=("min_fit=0", "min_fit_shift=0")))

    done = report(root, "cryo2struct", "--out", str(tmp_path / "page.html"), "--json")
    card = CliRunner().invoke(app, ["info", "cryo2struct", "--card", "--root", str(root)]).output

    assert json.loads(done.stdout)["duplicates"] == [{"what": "map", "entries": ["TWIN-1", "TWIN-2"]}]
    assert "| one map: the same bytes after decompression | " in card
    assert "| TWIN-1, TWIN-2 |" in card
    assert "one map: the same bytes after decompression" in (tmp_path / "page.html").read_text(encoding="utf-8")
