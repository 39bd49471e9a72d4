"""Write dates as people say them, and as ISO 8601 has them, to the tables that `dates.yaml` reads, in data/."""

from __future__ import annotations

import argparse
import random
from datetime import date, timedelta
from pathlib import Path

FORMS = (
    "{:%B} {day}, {:%Y}",
    "{day} {:%B} {:%Y}",
    "{:%b} {day} {:%Y}",
    "{:%A}, {day} {:%b} {:%Y}",
    "{:%m}/{day}/{:%Y}",
)
FIRST = date(1700, 1, 1)
DAYS = 150_000


def said(day: date, form: str) -> str:
    """Return a date in one of the forms."""
    return form.replace("{day}", str(day.day)).format(*[day] * form.count("{:"))


def main() -> None:
    """Write the tables; each day is in one of them only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=12_000, help="of the training table; 12000 unless given")
    parser.add_argument("--folder", type=Path, default=Path("data"), help="data unless given")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    held = max(options.rows // 12, 20)
    sizes = {"train": options.rows, "dev": held, "test": held}
    days = iter(draw.sample(range(DAYS), sum(sizes.values())))
    for name, size in sizes.items():
        rows = ["said\tiso"]
        for _ in range(size):
            day = FIRST + timedelta(days=next(days))
            rows.append(f"{said(day, draw.choice(FORMS))}\t{day.isoformat()}")
        path = options.folder / f"{name}.tsv"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        print(f"wrote {path}: {size:,} rows")


if __name__ == "__main__":
    main()
