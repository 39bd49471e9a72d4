"""Make the pictures that questions.md asks about: python tests/question_pictures.py FOLDER.

Each view is rendered in Chromium as a notebook's output is, 1,100 pixels wide and in light colours.
"""

from __future__ import annotations

import argparse
import html
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).parent / "browser"))

from tensorflow import keras

import s2s_magic
from harness import browser
from ledgers import translator_ledger
from s2s_magic import api
from s2s_magic.view import report, to_html
from s2s_magic.view.bundles import progress_bundle, report_display, show_comparison, show_explanation

SPEC = "vocab: {{source: words, target: backwards}}\ntokens: char\nembed: {}\nencoder: gru(24)\ndecoder: gru(24)\n"
WORDS = ["stone", "river", "cloud", "garden", "paper", "winter", "lemon", "horse", "tiger", "candle", "music", "bread"]
NAMES = {"words": WORDS, "backwards": [word[::-1] for word in WORDS]}
BODY = "source: words\ntarget: backwards\nvalidation: [words, backwards]\nepochs: 100\noptimizer: adam(1e-2)\nseed: 1\n"


def views() -> dict[str, str]:
    """Return the HTML of each view by name."""
    keras.utils.set_random_seed(1)
    ledger = translator_ledger(training=True)
    made: dict[str, str] = {
        "screen": to_html(report(translator_ledger(), after=5)),
        "training": to_html(report(ledger, training=True)),
        "terminal": f"<pre>{html.escape(report_display(translator_ledger()).text())}</pre>",
    }
    model = api.build(f"{SPEC.format(8)}attention: luong\nfreeze: [embeddings]\n", name="reverser", namespace=NAMES)
    seen: list = []
    api.fit(model, BODY, NAMES, progress=seen.append)
    last = seen[-1]
    made["drawing"] = progress_bundle(str(last), None, last.curves, last.name)["text/html"]
    made["explanation"] = show_explanation(s2s_magic.explain(model, "encoder_embeddings")).html()
    made["said"] = s2s_magic.explain(model, decode="stone").display().html()
    made["followed"] = s2s_magic.explain(model, follow="stone", target="enots").display().html()
    made["quiz"] = s2s_magic.quiz(model, questions=3).html()
    alike = SPEC.format(8).replace("{source: words, target: backwards}", "words")
    shared = api.build(alike, name="shared", namespace=NAMES)
    separate = api.build(f"{alike}share: false\n", name="separate", namespace=NAMES)
    made["comparison"] = show_comparison(s2s_magic.compare(shared, separate)).html()
    scoring = "source: words\ntarget: backwards\nmetrics: [exact, chrf]\n"
    made["scored"] = s2s_magic.score(model, scoring, NAMES).display().html()
    return made


def main() -> None:
    """Write a picture of each view."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    page_of = "<!doctype html><meta charset=utf-8><body style='font:14px system-ui,sans-serif;margin:16px'>{}"
    with browser() as chrome:
        for name, shown in views().items():
            page = chrome.new_page(viewport={"width": 1100, "height": 700})
            page.set_content(page_of.format(shown))
            page.wait_for_timeout(400)
            path = folder / f"{name}.png"
            page.screenshot(path=path, full_page=True)
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
