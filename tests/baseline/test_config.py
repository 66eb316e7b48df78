"""Settings of a run: from a file, a preset or options, and nothing that is not known."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pytest

from cryodata.baseline.learning.config import PRESETS, TrainConfig, differences, read_config, resolve_config, to_toml
from cryodata.cli import app
from cryodata.errors import UsageError


def test_every_key_of_the_file_is_an_option() -> None:
    options = {parameter.name: parameter.opts for parameter in app.commands["train"].params}

    for item in fields(TrainConfig):
        assert options[item.name] == [f"--{item.name.replace('_', '-')}"]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = TrainConfig(learning_rate=3e-4, blocks="1,2", steps=7)
    (tmp_path / "config.toml").write_text(to_toml(config), encoding="utf-8")

    assert resolve_config("", tmp_path / "config.toml") == config
    assert read_config(tmp_path / "config.toml")["learning_rate"] == 3e-4


def test_options_override_the_file_and_the_file_the_preset(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('depth = 4\nbatch_size = 6\nloss = "focal"\n', encoding="utf-8")

    config = resolve_config("paper-atom", tmp_path / "my.toml", {"batch_size": 2})

    assert (config.network, config.depth, config.loss, config.batch_size) == ("unetr", 4, "focal", 2)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_used(preset: str) -> None:
    assert resolve_config(preset).names[0] in ("atom", "amino")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"learning": 1}, "no setting learning; expected some of labels, split_by", id="unknown"),
        pytest.param({"filters": "8"}, "filters is '8'; expected a number of at least 0", id="type"),
        pytest.param({"steps": True}, "steps is True; expected a number", id="boolean"),
        pytest.param({"loss": "mse"}, "loss is 'mse'; expected one of weighted, plain, focal, dice", id="choice"),
        pytest.param({"core": 19}, "core is 19 of box 32; expected an even difference", id="core"),
        pytest.param({"batch_size": 0}, "batch_size is 0; expected at least 1", id="nothing"),
        pytest.param({"head_weights": "1"}, "head_weights is '1'; expected a number for each of atom", id="shares"),
        pytest.param({"labels": 'a"b'}, "expected text without quotes", id="quotes"),
    ],
)
def test_what_can_not_be_taken_is_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_config("", None, given)


def test_a_run_goes_on_with_other_workers_but_with_no_other_rate() -> None:
    before = asdict(TrainConfig())

    assert differences(before, TrainConfig(workers=2, device="cpu", threads=1)) == []
    assert differences(before, TrainConfig(learning_rate=0.1)) == ["learning_rate was 0.001 and is 0.1"]
