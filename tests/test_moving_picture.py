"""The README's moving picture shows each step of a ledger and stays within its frame."""

import re
from pathlib import Path
from xml.etree import ElementTree

from ledgers import translator_ledger
from moving_picture import LEFT, WIDE, moving

SVG = "{http://www.w3.org/2000/svg}"
PICTURE = Path(__file__).parents[1] / "examples" / "pictures" / "stepping.svg"


def frames(text):
    return [group for group in ElementTree.fromstring(text).iter(f"{SVG}g") if group.get("class") == "frame"]


def test_every_construction_and_call_has_a_frame_and_the_last_one_tells_the_verdicts():
    drawn = frames(moving(translator_ledger(training=True), 0))
    said = [["".join(text.itertext()) for text in frame.iter(f"{SVG}text")] for frame in drawn]
    assert any("+ 1,000 weights, new" in words for words in said)
    assert any("↻ 1,000 weights, reused" in words for words in said)
    assert said[-1][-1].startswith("After a fit: 9 variables in 4 owners;")
    assert sum("✓ trained" in word for word in said[-1]) == 3
    delays = [float(re.search(r"[\d.]+", frame.get("style")).group()) for frame in drawn]
    assert delays == sorted(set(delays))


def test_the_picture_on_file_has_nothing_that_is_cut_off():
    text = PICTURE.read_text(encoding="utf-8")
    whole = ElementTree.fromstring(text)
    high = float(whole.get("height"))
    for word in whole.iter(f"{SVG}text"):
        wide = 7.9 * len("".join(word.itertext()))
        until = LEFT if float(word.get("x")) < LEFT and word.get("class") != "said" else WIDE
        assert float(word.get("x")) + wide * (0.85 if word.get("class") == "said" else 1) <= until
        assert float(word.get("y")) < high - 4
    assert len(frames(text)) == 12
    assert "prefers-reduced-motion" in text
    assert len(text) < 30_000
