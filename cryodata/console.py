"""How results look on a terminal: tables and bars for people on stderr and stdout, one JSON object for programs."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table

if TYPE_CHECKING:
    from cryodata.build.work import Outcome

LINE_EVERY = 10.0
"seconds between progress lines where there is no terminal"

WIDE = 10_000
"columns of an output that is no terminal"

MAX_ROWS = 20
"rejections or faults that are listed one by one"


def shown(text: str) -> str:
    """A text that a terminal shows and does not obey: names come from files of strangers, and a control character among
    them could clear the screen, forge a line, or turn letters round."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else " " if letter.isspace() else "?" for letter in text
    )


class _SafeConsole(RichConsole):
    """Prints texts as `shown` has them, wherever they stand: in lines, tables, Markdown or the titles of bars."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of what is printed; those that move the cursor for a bar are rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)


class Console:
    """Results go to stdout, progress and errors to stderr. With `as_json`, stdout holds one JSON object."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        # lines that no one looks at are not broken, so that `grep` finds them
        width = None if sys.stdout.isatty() else WIDE
        self.out = _SafeConsole(highlight=False, markup=False, soft_wrap=True, width=width)
        self.err = _SafeConsole(stderr=True, highlight=False, markup=False, soft_wrap=True)

    def print(self, text: str = "") -> None:
        """A line for people; nothing with `as_json`."""
        if not self.as_json:
            self.out.print(text, markup=False)

    def show_json(self, value: Any) -> None:
        """The one JSON object."""
        sys.stdout.write(json.dumps(value) + "\n")

    def show_error(self, message: str) -> None:
        """One line on stderr; the same as JSON on stdout for programs."""
        if self.as_json:
            self.show_json({"error": message})
        self.err.print(f"cryodata: error: {message}", markup=False, style="red")

    def say(self, text: str) -> None:
        """A line about the work, on stderr."""
        with suppress(OSError):  # nobody reads it any more: the work goes on
            self.err.print(text, markup=False)

    @contextmanager
    def steps(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """A bar on a terminal, a line now and then elsewhere. Yields a function of (done, total)."""
        if self.err.is_terminal:
            numbers = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            with Progress(
                TextColumn("{task.description}", markup=False), BarColumn(), *numbers, console=self.err, transient=True
            ) as progress:
                task = progress.add_task(title, total=None)
                yield lambda done, total: progress.update(task, completed=done, total=total)
            return
        last = time.monotonic()

        def line(done: int, total: int) -> None:
            nonlocal last
            if done in (0, total) or time.monotonic() - last > LINE_EVERY:
                last = time.monotonic()
                with suppress(OSError):  # nobody reads it any more: the work goes on
                    self.err.print(f"{title}: {done} of {total}", markup=False)

        yield line

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[int, Outcome | None], None]]:
        """As `steps`, for a build: counts accepted and rejected entries."""
        tally: Counter[str] = Counter()
        with self.steps(title) as step:

            def observe(total: int, outcome: Outcome | None) -> None:
                if outcome is not None:
                    tally["rejected" if outcome.code else "accepted"] += 1
                step(sum(tally.values()), total)

            yield observe

    def table(self, table: Table) -> None:
        """A table."""
        self.out.print(table)

    def markdown(self, text: str) -> None:
        """A text in Markdown, set on a terminal and as it is elsewhere."""
        if not self.out.is_terminal:
            self.print(text)
            return
        from rich.markdown import Markdown

        self.out.print(Markdown(shown(text), code_theme="bw"), soft_wrap=False)

    def pairs(self, rows: Mapping[str, str]) -> None:
        """A table of two columns, without a head."""
        table = Table(box=None, show_header=False, pad_edge=False)
        for key, value in rows.items():
            table.add_row(key, value)
        if rows:
            self.out.print(table)
