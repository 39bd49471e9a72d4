"""Make the README's moving picture from a real run: python tests/moving_picture.py examples/pictures/stepping.svg.

The mission's encoder-decoder is traced and fitted; each frame shows one event of its ledger: the expression, what it
made and reused, and who owns what after it. The SVG moves by CSS alone, and stands still at its end for readers who
asked their system for less motion.
"""

from __future__ import annotations

import argparse
import os
from html import escape
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CODE = """\
encoder_inputs = keras.layers.Input(shape=[None], dtype="int32")
decoder_inputs = keras.layers.Input(shape=[None], dtype="int32")
lengths = keras.layers.Input(shape=[], dtype="int32")

embeddings = keras.layers.Embedding(100, 10)
encoder_embeddings = embeddings(encoder_inputs)
decoder_embeddings = embeddings(decoder_inputs)

encoder = keras.layers.LSTM(512, return_state=True)
outputs, state_h, state_c = encoder(encoder_embeddings)

sampler = tfa.seq2seq.TrainingSampler()
decoder_cell = keras.layers.LSTMCell(512)
output_layer = keras.layers.Dense(100)
decoder = tfa.seq2seq.BasicDecoder(
    decoder_cell, sampler, output_layer=output_layer)
final, state, sizes = decoder(
    decoder_embeddings, initial_state=[state_h, state_c],
    sequence_length=lengths)

Y_proba = tf.nn.softmax(final.rnn_output)
model = keras.Model(
    [encoder_inputs, decoder_inputs, lengths], Y_proba)
"""
BEFORE = "import tensorflow as tf\nimport tensorflow_addons as tfa\nfrom tensorflow import keras\n"
FIT = "inputs: [X, D, N]\ntarget: Y\nepochs: 2\noptimizer: adam\nloss: sparse_categorical_crossentropy\n"
WIDE, LEFT, TOP, LINE = 1000, 530, 64, 18
SECONDS = 2.4
STYLE = """
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #1f2328; white-space: pre; }
.said { font: 15px system-ui, -apple-system, "Segoe UI", sans-serif; }
.title { font: 600 15px system-ui, -apple-system, "Segoe UI", sans-serif; }
.quiet { fill: #59636e; }
.page { fill: #ffffff; stroke: #d1d9e0; }
.mark { fill: #ddf4ff; stroke: #0969da; }
.new { fill: #1a7f37; font-weight: 700; }
.reused { fill: #8250df; font-weight: 700; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .quiet { fill: #9198a1; }
  .page { fill: #0d1117; stroke: #3d444d; }
  .mark { fill: #0c2d6b; stroke: #4493f8; }
  .new { fill: #3fb950; }
  .reused { fill: #ab7df8; }
}
"""


def moving(ledger, skipped_lines: int) -> str:
    """Return the moving picture of a ledger; the first lines of its code are not shown."""
    from s2s_magic.view import report
    from s2s_magic.view.summary import summary

    whole = report(ledger)
    code = whole.cells[0].text.splitlines()[skipped_lines:]
    telling = [step for step in whole.steps if step.kind == "constructed" or step.created or step.reused]
    telling = [step for step in telling if "Input(" not in step.place.source]
    telling += [step for step in whole.steps[-2:] if step not in telling]
    frames = [_frame(whole, step, skipped_lines) for step in telling]
    frames.append(_end(whole, summary(whole)))
    high = TOP + LINE * len(code) + 74
    text = [_text(16, TOP + LINE * number + 13, line) for number, line in enumerate(code)]
    part = 100 / len(frames)
    moves = (
        f"g.frame {{ opacity: 0; animation: frame {SECONDS * len(frames):.1f}s step-end infinite; }}\n"
        f"@keyframes frame {{ 0% {{ opacity: 1; }} {part:.4f}% {{ opacity: 0; }} 100% {{ opacity: 0; }} }}\n"
        "@media (prefers-reduced-motion: reduce) "
        "{ g.frame { animation: none; } g.frame:last-of-type { opacity: 1; } }\n"
    )
    drawn = [
        f'<g class="frame" style="animation-delay:{SECONDS * number:.1f}s">{frame}</g>'
        for number, frame in enumerate(frames)
    ]
    described = escape(" ".join(step.sentence for step in telling))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDE} {high}" width="{WIDE}" '
        f'height="{high}">\n<title>Which layer object owns the weights, step by step</title>\n'
        f"<desc>{described}</desc>\n<style>{STYLE}{moves}</style>\n"
        f'<rect class="page" x="0.5" y="0.5" width="{WIDE - 1}" height="{high - 1}" rx="8"/>\n'
        f"{_text(16, 28, 'The code of the cell', 'title')}{_text(LEFT + 20, 28, 'Who owns what so far', 'title')}\n"
        + "\n".join(drawn[:-1])
        + "\n"
        + "".join(text)
        + "\n"
        + drawn[-1]
        + "\n</svg>\n"
    )


def _frame(whole, step, skipped_lines: int) -> str:
    first, last = step.place.line - skipped_lines - 1, (step.place.end_line or step.place.line) - skipped_lines - 1
    top = TOP + LINE * first - 2
    mark = f'<rect class="mark" x="8" y="{top}" width="{LEFT - 16}" height="{LINE * (last - first + 1) + 2}" rx="4"/>'
    return mark + _owners(whole, step.index, step.created, step.reused) + _said(whole, f"{step.sentence}")


def _end(whole, said: str) -> str:
    return _owners(whole, whole.after, (), (), verdicts=True) + _said(whole, f"After a fit: {said}.")


def _owners(whole, after: int, created, reused, *, verdicts: bool = False) -> str:
    parts, y = [], TOP + 13
    for line in whole.tree(after):
        row = line.row
        own = getattr(row, "variables", None)
        if own is None:
            continue
        born = [key for key in own if whole.variables[key].born <= after]
        words, style = ("owns no variables yet", "quiet") if not born else (f"{line.params:,} weights", "")
        if not born and line.params:
            words, style = f"{line.params:,} in its parts", "quiet"
        sign = ""
        if set(born) & set(created):
            sign, words = "new", f"+ {words}, new"
        elif set(born) & set(reused):
            sign, words = "reused", f"↻ {words}, reused"
        elif verdicts and born:
            outcomes = {whole.ledger.training.variables[key].verdict for key in born}
            sign, words = "new", f"✓ {' and '.join(sorted(outcomes))}"
        parts.append(_text(LEFT + 20 + 18 * line.depth, y, row.name))
        parts.append(_text(LEFT + 200, y, words, sign or style))
        y += 26
    return "".join(parts)


def _said(whole, said: str) -> str:
    import textwrap

    floor = TOP + LINE * (len(CODE.splitlines())) + 30
    lines = textwrap.wrap(said, 128)[:2]
    return "".join(_text(16, floor + 20 * number, line, "said") for number, line in enumerate(lines))


def _text(x: float, y: float, text: str, style: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text x="{x}" y="{y}"{named} xml:space="preserve">{escape(text)}</text>'


def main() -> None:
    """Run the model and write the picture."""
    import numpy as np

    from s2s_magic import api

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where the picture goes")
    path = parser.parse_args().file
    names: dict[str, object] = {}
    model = api.trace(BEFORE + CODE, names, name="translator")
    numbers = np.random.default_rng(0)
    Y = numbers.integers(100, size=(320, 15))
    data = {"X": numbers.integers(100, size=(320, 10)), "Y": Y, "D": np.c_[np.zeros((320, 1)), Y[:, :-1]]}
    api.fit(model, FIT, {**data, "N": np.full([320], 15)}, progress=lambda progress: None)
    path.write_text(moving(model.ledger, len(BEFORE.splitlines())), encoding="utf-8")
    print(f"wrote {path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
