"""What goes wrong afar: faults that pass, objects that are not believed, and errors that say what is lacking."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.errors import DatasetError, UsageError
from cryodata.formats import store
from cryodata.read.decode import volumes_of
from tests.read.examples import same
from tests.read.remote.served import LATEST, batches, published
from tests.servers import KEY, FileServer
from tests.tampering import flip, manifest_of, write_manifest


def test_transient_faults_of_any_object_pass(served: FileServer, simulated: Report) -> None:
    faults = ["500", "503", "429", "reset", "truncate", "stall", "redirect"]
    for number, path in enumerate([*LATEST, *sorted(published(simulated))]):
        served.fail(path, faults[number % len(faults)])

    found = batches(root=served.url)

    assert all(same(one, other) for one, other in zip(batches(root=simulated.folder.parent), found, strict=True))


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def lengthen(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"x")


DAMAGES: dict[Callable[[Path], None], str] = {
    flip: r"{url}/{path}: {size} bytes with sha256 {found}; expected {size} with {sha256}",
    shorten: r"{url}/{path}: {less} bytes with sha256 {found}; expected {size} with {sha256}",
    lengthen: r"{path}: {more} bytes at {url}; expected {size} at most",
    Path.unlink: r"{path}: missing at {url}; expected {size} bytes with sha256 {sha256}",
}
KINDS = ("tables/*/entries.parquet", "tables/*/objects.parquet", "tables/*/atoms-*.parquet", "*/zarr.json", "c/0/0/0")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("kind", KINDS, ids=["entries", "objects", "atoms", "metadata", "shard"])
def test_an_object_that_is_not_what_was_published_is_named(
    served: FileServer, simulated: Report, kind: str, damage: Callable[[Path], None]
) -> None:
    pattern = kind if kind.startswith("tables") else f"volumes/*/*.zarr{'/density' if kind[0] == 'c' else ''}/"
    pattern += "" if kind.startswith("tables") else kind.removeprefix("*/")
    file = sorted((served.folder / "simulated").glob(pattern))[0]
    size, sha256 = file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest()
    damage(file)

    with pytest.raises(DatasetError) as caught:
        [list(part) for part in load_dataset("simulated", streaming=True, root=served.url).values()]

    message = DAMAGES[damage].format(
        url=re.escape(f"{served.url}/simulated"),
        path=re.escape(str(file.relative_to(served.folder / "simulated"))),
        found="[0-9a-f]{64}", sha256=sha256, size=f"{size:,}", less=f"{size - 5:,}", more=f"{size + 1:,}",
    )  # fmt: skip
    assert re.search(f"{message}$", str(caught.value)), str(caught.value)


def test_an_answer_that_is_shorter_than_the_object_is_no_object(served: FileServer) -> None:
    path = next(path for path in (served.folder / "simulated").glob("tables/*/entries.parquet"))
    served.fail(str(path.relative_to(served.folder)), "shorter")

    with pytest.raises(DatasetError, match=rf"entries\.parquet: {path.stat().st_size - 7:,} bytes with sha256 "):
        load_dataset("simulated", split="train", streaming=True, root=served.url)


def test_another_manifest_under_the_same_version_is_noticed(served: FileServer, cache: Path) -> None:
    dataset = load_dataset("simulated", split="train", root=served.url)
    write_manifest(served.folder / "simulated", {**manifest_of(served.folder / "simulated"), "license": "another"})
    shutil.rmtree(cache)
    volumes_of.cache_clear()

    with pytest.raises(DatasetError, match=r"^simulated@0\.1\.0 in http://.* has the manifest [0-9a-f]{64}; expected "):
        dataset[0]


def test_what_is_not_there_is_told_with_what_is(root: str) -> None:
    listed = "found: simulated; did you mean 'simulated'?" if root.startswith("s3") else "latest.json, or a version"

    with pytest.raises(UsageError, match=f"^no dataset 'simulatd' (in|at) {root}; .*{listed}"):
        load_dataset("simulatd", split="train", root=root)
    with pytest.raises(UsageError, match=rf"^dataset 'simulated' in {root} has no version '9\.0\.0'; found: 0\.1\.0$"):
        load_dataset("simulated@9.0.0", split="train", root=root)


def test_a_wrong_key_is_said_and_none_is_shown(buckets: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"AWS_ENDPOINT_URL": buckets["rclone"], "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "wrong-secret"}
    for name, value in {**wrong, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    store.client_of.cache_clear()

    with pytest.raises(DatasetError) as caught:
        load_dataset("simulated@0.1.0", split="train", root="s3://maps/some/prefix")

    assert str(caught.value) == (
        "versions/0.1.0.json: can't be read from s3://maps/some/prefix/simulated: the server answered 403 Forbidden; "
        "are the credentials in the environment right?"
    )
