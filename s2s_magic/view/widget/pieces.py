"""HTML pieces that the inspector shows at a step, each cheap enough to draw while the reader steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from s2s_magic.view.html.listing import present_source_html
from s2s_magic.view.html.markup import Markup, tag
from s2s_magic.view.html.owners import passes, tree_cells, tree_table
from s2s_magic.view.html.panels import step_html
from s2s_magic.view.report import OwnerRow, Report, TreeRow

SORTS: dict[str, Callable[[TreeRow], object]] = {
    "as built": lambda line: 0,
    "by name": lambda line: line.row.name.lower(),
    "largest first": lambda line: -line.params,
    "latest first": lambda line: -line.row.born,
}
FILTERS = {"all": None, "only shared": "shared", "only untrained": "still", "only with findings": "noted"}


def steps_html(report: Report, now: int) -> Markup:
    """Show the code with the current expression marked, and what its step did."""
    if not report.steps:
        return tag("p", "Nothing was recorded.")
    step = report.steps[now]
    code = present_source_html(report, step)
    return tag("div", code, tag("div", step_html(report, step), class_="s2s-panels"), class_="s2s-stage")


@dataclass
class _Branch:
    """A line of the tree with the lines below it."""

    line: TreeRow
    below: list[_Branch] = field(default_factory=list)


def owners_html_at(report: Report, now: int, *, part: str = "", sort: str = "as built", only: str = "all") -> Markup:
    """Show the owner tree at step ``now``, with siblings sorted by one of `SORTS`.

    ``part`` keeps the lines with this in their name, and all lines above and below them; ``only`` is one of `FILTERS`.
    """
    if not report.steps:
        return tag("p", "Nothing was recorded.")
    lines = [_as_of(line, now) for line in report.tree(now)]
    shown = list(_kept(_grown_up(lines), part.strip().lower(), FILTERS[only], SORTS[sort]))
    step = report.steps[now]
    cells = [
        tree_cells(report, line, now=_sign(line, step.created, step.reused, now), parameters=f"{line.params:,}")
        for line in shown
    ]
    hidden = len(lines) - len(shown)
    less = f", {hidden} of {len(lines)} lines filtered out" if hidden else ""
    caption = f"Who owns what after step {now}{less}"
    if not shown:
        return tag("p", "Nothing owns a variable yet." if not lines else f"No line of {len(lines)} passes the filter.")
    return tree_table(caption, shown, cells, [""] * len(shown))


def _as_of(line: TreeRow, now: int) -> TreeRow:
    return replace(line, row=replace(line.row, steps=tuple(step for step in line.row.steps if step <= now)))


def _sign(line: TreeRow, created: Sequence[str], reused: Sequence[str], now: int) -> Markup:
    if isinstance(line.row, OwnerRow):
        return tag("span", "○ made") if line.row.born == now else Markup("")
    if line.row.key in created:
        return tag("span", "+ new")
    return tag("span", "↻ reused") if line.row.key in reused else Markup("")


def _grown_up(lines: Sequence[TreeRow]) -> list[_Branch]:
    roots: list[_Branch] = []
    above: list[_Branch] = []
    for line in lines:
        branch = _Branch(line)
        del above[line.depth :]
        (above[-1].below if above else roots).append(branch)
        above.append(branch)
    return roots


def _kept(
    branches: Sequence[_Branch], part: str, only: str | None, sort: Callable[[TreeRow], object], found: bool = False
) -> Iterator[TreeRow]:
    """Yield the lines to keep, sorted among their siblings; a line above a kept one stays."""
    for branch in sorted(branches, key=lambda each: sort(each.line)):  # type: ignore[arg-type,return-value]
        named = found or part in branch.line.row.name.lower()
        below = list(_kept(branch.below, part, only, sort, named))
        if below or (named and (only is None or only in passes(branch.line.row, branch.line.state))):
            yield branch.line
            yield from below
