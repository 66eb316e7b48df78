"""Settings of a build as KEY=VALUE, declared with their type, default and meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from cryodata.errors import UsageError


def number(text: str) -> float:
    """A finite number above or equal to 0."""
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ValueError
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = number(text)
    if value > 1:
        raise ValueError
    return value


def above_0(text: str) -> float:
    """A finite number above 0."""
    value = number(text)
    if not value:
        raise ValueError
    return value


def number_or_none(text: str) -> float | None:
    """A finite number, or `none`."""
    return None if text.lower() == "none" else number(text)


def count(text: str) -> int:
    """A whole number above or equal to 0."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def yes_or_no(text: str) -> bool:
    """`yes` or `no`."""
    return {"yes": True, "no": False, "true": True, "false": False}[text.lower()]


def one_of(*choices: str) -> Callable[[str], str]:
    """One of some words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    parse.__doc__ = "One of " + ", ".join(choices) + "."
    return parse


def several_of(*choices: str) -> Callable[[str], str]:
    """Some words with commas between, put in the order of the choices; `all` or `default` alone."""

    def parse(text: str) -> str:
        if text in ("all", "default"):
            return text
        found = {item.strip() for item in text.split(",")}
        if not found <= set(choices):
            raise ValueError
        return ",".join(item for item in choices if item in found)

    parse.__doc__ = f"`default`, `all`, or some of {', '.join(choices)} with commas between."
    return parse


def day(value: str) -> str:
    """A day such as 2023-03-27, or nothing."""
    return date.fromisoformat(value).isoformat() if value else ""


def text(value: str) -> str:
    """Any text."""
    return value


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a builder."""

    name: str
    default: Any
    parse: Callable[[str], Any]
    "from the text after `=`; raises ValueError or KeyError for anything it does not take"

    shapes_bytes: bool
    "whether it changes the bytes of a volume or its atoms; if not, it selects or splits entries"

    help: str

    @property
    def expects(self) -> str:
        """What `parse` takes, in words."""
        return (self.parse.__doc__ or "").strip().rstrip(".")


def resolve(parameters: Sequence[Parameter], settings: Iterable[str]) -> dict[str, Any]:
    """Defaults overridden by settings such as `max_resolution=8`. Raises UsageError naming what is known."""
    known = {parameter.name: parameter for parameter in parameters}
    values = {parameter.name: parameter.default for parameter in parameters}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in known:
            raise UsageError(f"--set {setting}: expected KEY=VALUE with one of the keys {', '.join(sorted(known))}")
        try:
            values[key] = known[key].parse(value)
        except (ValueError, KeyError):
            expects = known[key].expects
            raise UsageError(f"--set {setting}: found '{value}'; expected {expects[0].lower()}{expects[1:]}") from None
    return values


def shaping(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those values that change bytes: what a recipe digest covers."""
    changing = {parameter.name for parameter in parameters if parameter.shapes_bytes}
    return {name: value for name, value in values.items() if name in changing}
