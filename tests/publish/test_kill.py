"""SIGKILL of a publisher at any request, then the same command: the version is there, and nothing was sent twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from cryodata.build.published import published_items
from cryodata.build.verify import verify_version
from cryodata.cli import app
from cryodata.formats.bucket import Bucket
from cryodata.formats.places import place_of
from cryodata.formats.versions import DatasetVersion, open_version
from tests.proxy import FaultProxy
from tests.publish.conftest import Use

OBJECTS = r"/(volumes|tables)/"


def test_a_publisher_killed_at_any_request_goes_on(
    servers: dict[str, str], use: Use, first: DatasetVersion, series: Callable[[str, int], list[int]]
) -> None:
    items = published_items(first)
    requests = len(items) + 12  # five of the probe, three looks, manifest and hint
    cases, killed = series("kills of a publisher", 20), 0
    with FaultProxy(servers["moto"]) as proxy:
        for case in cases:
            draw = random.Random(case)
            moment = draw.randrange(1, requests)
            root = use(proxy.url)
            arguments = ["publish", "small@1.0.0", "--root", first.root, "--to", root, "--json"]
            running = subprocess.Popen(
                [sys.executable, "-m", "cryodata", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

            def kill(number: int, running: subprocess.Popen[bytes] = running, at: int = moment) -> str:
                if number == at:  # the server gets the request all the same, and nobody is told what it did
                    os.kill(running.pid, signal.SIGKILL)
                return ""

            proxy.on_request = kill
            killed += running.wait(120) == -signal.SIGKILL
            proxy.wait_until_idle()
            seen = place_of(root, "small").versions()
            if seen:
                assert all(path in listed(root) for path, _, _ in items), f"killed at request {moment}"
            before = Counter(proxy.sent(OBJECTS))
            proxy.forget()

            told = json.loads(CliRunner().invoke(app, arguments, catch_exceptions=False).stdout)

            assert told["created"] == (not seen), f"killed at request {moment}"
            assert set((before + Counter(proxy.sent(OBJECTS))).values()) == {1}, f"killed at request {moment}"
            assert verify_version(open_version(root, "small"), deep=False).faults == ()
            proxy.forget()
    assert killed >= len(cases) / 2


def listed(root: str) -> set[str]:
    return set(Bucket(f"{root}/small").listed(""))


def test_a_publisher_to_a_folder_killed_at_any_object_goes_on(
    first: DatasetVersion, tmp_path: Path, series: Callable[[str, int], list[int]]
) -> None:
    items = published_items(first)
    code = (
        "import os, signal, sys\n"
        "from cryodata.build import targets\n"
        "from cryodata.build.publish import publish\n"
        "from cryodata.formats.versions import open_version\n"
        "put, left = targets.LocalTarget.put, [int(sys.argv[3])]\n"
        "def fatal(self, item, pieces):\n"
        "    left[0] -= 1\n"
        "    def half():\n"
        "        yield next(iter(pieces()))[:5]\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    put(self, item, pieces if left[0] else half)\n"
        "targets.LocalTarget.put = fatal\n"
        "publish(open_version(sys.argv[1], 'small@1.0.0'), sys.argv[2])\n"
    )
    for case in series("kills of a publisher to a folder", 10):
        moment, root = random.Random(case).randrange(1, len(items)), tmp_path / str(case)
        done = subprocess.run([sys.executable, "-c", code, first.root, str(root), str(moment)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert place_of(str(root), "small").versions() == []
        whole = sum(path.stat().st_size for path in (root / "small/volumes").rglob("*") if path.is_file())

        result = CliRunner().invoke(
            app, ["publish", "small@1.0.0", "--root", first.root, "--to", str(root), "--json"], catch_exceptions=False
        )

        told = json.loads(result.stdout)
        assert told["skipped"]["bytes"] >= whole
        assert told["sent"]["objects"] <= len(items) - moment + 16  # threads that were at work
        assert verify_version(open_version(root, "small"), deep=True).faults == ()
        assert sorted(path.name for path in (root / "small").iterdir()) == [
            "latest.json", "tables", "versions", "volumes"
        ]  # fmt: skip
