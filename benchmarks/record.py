"""Results with what they were measured on, so that a later run can be compared."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def record(name: str, libraries: tuple[str, ...], result: Any) -> Path:
    """Write a result beside the machine, the versions and the commit it belongs to."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    value = {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in libraries},
        "commit": commit.stdout.strip(),
        "result": result,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    return path
