"""Measure how fast the inspector opens and steps: python tests/benchmarks/widget_speed.py."""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ledgers import large_ledger
from s2s_magic.view import to_widget
from s2s_magic.view.widget.inspector import Inspector, close_tree

SIZES = ((20, 50), (70, 200), (300, 1000), (1000, 10_000))
PAGES = ("Steps", "Owners", "Wiring")
STEPS = 40


def milliseconds(work) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def step_times(inspector: Inspector, page: str, last: int) -> list[float]:
    """Step through a ledger with one page open; the first step, which lays out the wiring, is included."""
    tabs, slider = inspector.children[-1], inspector.children[1].children[-1]
    tabs.selected_index = PAGES.index(page)
    return [milliseconds(lambda at=at: setattr(slider, "value", at * last // STEPS)) for at in range(STEPS)]


def main() -> None:
    print(
        f"{'layers':>7} {'events':>7} {'open':>9} {'display':>9}" + "".join(f"{page + ' step':>22}" for page in PAGES)
    )
    for layers, events in SIZES:
        ledger = large_ledger(layers, events)
        made = []
        opened = milliseconds(lambda ledger=ledger, made=made: made.append(to_widget(ledger)))
        (inspector,) = made
        displayed = milliseconds(inspector._repr_mimebundle_)
        line = f"{layers:>7} {events:>7} {opened:>6.0f} ms {displayed:>6.0f} ms"
        for page in PAGES:
            times = step_times(inspector, page, events - 1)
            line += f"{statistics.median(times):>9.1f}, max {max(times):>5.0f} ms"
        print(line)
        close_tree(inspector)


if __name__ == "__main__":
    main()
