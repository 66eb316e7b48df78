"""Results with what they were measured on, so that a later run can be compared."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine(libraries: Sequence[str]) -> dict[str, Any]:
    """Processor, cores, Python, versions of libraries, and the commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=RESULTS.parent
    )
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "libraries": {name: found for name in libraries if (found := _version(name))},
        "commit": commit.stdout.strip(),
    }


def _version(library: str) -> str:
    """Empty if it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """The model's name where the kernel tells it: `x86_64` says little."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def write(path: Path, value: Any) -> Path:
    """Keep a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    return path


def record(name: str, libraries: tuple[str, ...], result: Any) -> Path:
    """Write a result beside the machine, the versions and the commit it belongs to."""
    return write(RESULTS / f"{name}.json", {**machine(libraries), "result": result})
