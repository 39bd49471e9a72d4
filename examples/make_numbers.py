"""Write numbers in English and German words, side by side, to the files that `numbers.yaml` reads, in data/numbers/.

German says the ones before the tens and writes all in one word (twenty-one: einundzwanzig), so that the model has to
reorder and to compound. The words are those of num2words (``pip install num2words``).
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from num2words import num2words


def main() -> None:
    """Write the files; each number is in one pair of them only, and short numbers are as frequent as long ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="of the training files; 20000 unless given")
    parser.add_argument("--folder", type=Path, default=Path("data/numbers"), help="data/numbers unless given")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    held = max(options.rows // 20, 20)
    sizes = {"train": options.rows, "dev": held, "test": held}
    draw = random.Random(1)
    numbers: dict[int, None] = {}
    while len(numbers) < sum(sizes.values()):
        numbers.setdefault(draw.randrange(10 ** draw.randint(3, 6)))
    drawn = iter(draw.sample(list(numbers), len(numbers)))
    for name, size in sizes.items():
        chosen = [next(drawn) for _ in range(size)]
        for language in ("en", "de"):
            path = options.folder / f"{name}.{language}"
            lines = (num2words(number, lang=language) for number in chosen)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        print(f"wrote {options.folder / name}.en and .de: {size:,} rows")


if __name__ == "__main__":
    main()
