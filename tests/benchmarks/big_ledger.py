"""Measure how long a ledger of 1,000 layers and 10,000 events takes to show: python tests/benchmarks/big_ledger.py."""

import sys
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

from ledgers import large_ledger
from s2s_magic.view import report, to_html, to_text

LAYERS, EVENTS = 1000, 10_000


def main() -> None:
    """Print a table of seconds and sizes."""
    to_html(report(large_ledger(10, 400)), page=True)
    ledger = large_ledger(LAYERS, EVENTS)
    start = perf_counter()
    shown = report(ledger)
    reported = perf_counter()
    html = to_html(shown, page=True)
    drawn = perf_counter()
    text = to_text(shown)
    written = perf_counter()
    print(f"{LAYERS:,} layers, {EVENTS:,} events, {len(shown.variables):,} variables")
    print(f"{'report, with its findings':32}{reported - start:8.2f} s")
    print(f"{'HTML page':32}{drawn - reported:8.2f} s{len(html.encode()) / 1e6:8.2f} MB")
    print(f"{'report and HTML':32}{drawn - start:8.2f} s")
    print(f"{'text':32}{written - drawn:8.2f} s{len(text.encode()) / 1e6:8.2f} MB")


if __name__ == "__main__":
    main()
