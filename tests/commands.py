"""What a command of `cryodata` answers."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner

from cryodata.cli import app


def run(*arguments: str) -> Any:
    """Its object of --json."""
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    return json.loads(result.stdout)
