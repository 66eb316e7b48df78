"""Environments, processes and their memory: the parent's side of every measurement."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.read.measure import TIMED

REPOSITORY = Path(__file__).resolve().parents[2]

THREADED = (
    "OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS NUMEXPR_NUM_THREADS NUMBA_NUM_THREADS BLOSC_NTHREADS "
    "RAYON_NUM_THREADS ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
)
ONE_THREAD = dict.fromkeys(THREADED.split(), "1")

QUIET = {
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    "DISABLE_VERSION_CHECK": "1", "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip

SAMPLED = 0.25
"s between two looks at the memory of a case"

LIMIT = 900.0
"s after which a case is ended: a row `not run`"


class NotRunError(Exception):
    """Why a case has no figures, in one line."""


@dataclass(frozen=True)
class Module:
    """A file of cases, and the interpreter that runs it."""

    name: str
    "such as benchmarks.read.peers.hf"

    python: str


def requirements(path: Path) -> list[str] | None:
    """The libraries that a peer's first line names; None if the peer needs none of its own."""
    first = path.read_text("utf-8").splitlines()[0]
    match = re.fullmatch(r"# requires:(.*)", first)
    return (match.group(1).split() or None) if match else None


def environment(name: str, needed: Sequence[str] | None, folder: Path) -> str:
    """The interpreter of a peer's own environment, made if there is none like it. Raises NotRunError if pip can't.

    PyTorch and NumPy come from this environment by a .pth file, unless the peer asks for others: that saves gigabytes.
    """
    if not needed:
        return sys.executable
    place = folder / name
    python, made, shared = place / "bin" / "python", place / "made", sysconfig.get_paths()["purelib"]
    said = "\n".join([shared, *needed])
    if not made.exists() or made.read_text(encoding="utf-8") != said:
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        paths = sysconfig.get_paths(vars={"base": str(place), "platbase": str(place)})
        Path(paths["purelib"], "shared.pth").write_text(shared + "\n", encoding="utf-8")
        (place / "constraints.txt").write_text(f"torch=={version('torch')}\n", encoding="utf-8")
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        done = subprocess.run(
            [*pip, "-c", str(place / "constraints.txt"), *needed], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NotRunError(f"pip install {' '.join(needed)}: {last_line(done.stderr)}")
        made.write_text(said, encoding="utf-8")
    return str(python)


def last_line(text: str) -> str:
    """The last line that says something: of a traceback, the exception."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"


def call(module: Module, arguments: Sequence[str], folder: Path) -> tuple[Any, int]:
    """Run a module's action in a process of its own: its result, and the peak of its memory in bytes.

    Memory is anonymous and shared memory of all its processes (Pss of both kinds), without what the page cache holds.
    Raises NotRunError, with the last line of what it said, if it fails.
    """
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        out, log = Path(temporary) / "out.json", Path(temporary) / "log"
        with log.open("w") as said:
            process = subprocess.Popen(
                [module.python, "-m", module.name, *arguments, "--out", str(out)],
                cwd=REPOSITORY,
                env={**os.environ, **ONE_THREAD, **QUIET, "TMPDIR": temporary},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            peak = _watched(process, out.with_suffix(TIMED))
        if process.returncode or not out.exists():
            raise NotRunError(last_line(log.read_text("utf-8", errors="replace")))
        return json.loads(out.read_text("utf-8")), peak


def _watched(process: subprocess.Popen[bytes], ended: Path) -> int:
    """Wait for a process, looking at its memory until a file appears; end it if it takes too long or this one ends."""
    peak, began = 0, time.monotonic()
    try:
        while process.poll() is None:
            if not ended.exists():
                peak = max(peak, memory_of(family(process.pid)))
            if time.monotonic() - began > LIMIT:
                raise NotRunError(f"took longer than {LIMIT:.0f} s")
            time.sleep(SAMPLED)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()
    return peak


def family(process: int) -> list[int]:
    """A process and its descendants."""
    found = [process]
    for number in found:
        for path in Path(f"/proc/{number}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in path.read_text("ascii").split())
            except OSError:
                continue  # ended in between
    return found


def memory_of(processes: Sequence[int]) -> int:
    """Anonymous and shared memory of some processes, bytes, shared pages divided among those that share them."""
    if len(processes) == 1:
        # counters: a look at every page takes milliseconds of a core, which a case on all cores would lack
        return _counted(processes[0], "status", ("RssAnon:", "RssShmem:"))
    return sum(_counted(process, "smaps_rollup", ("Pss_Anon:", "Pss_Shmem:")) for process in processes)


def _counted(process: int, file: str, names: tuple[str, ...]) -> int:
    try:
        lines = Path(f"/proc/{process}/{file}").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return 0  # ended in between
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(names))
