"""Every variable has one owner, and wherever "owns" is said, it is said only of that owner."""

import re
from collections import Counter

import pytest

from kerases import KERAS3
from models import ran, zoo

pytest.importorskip("tensorflow")

from s2s_magic import api
from s2s_magic.ledger.explain import explain
from s2s_magic.ledger.words import short_name
from s2s_magic.view import report, to_html, to_svg, to_text
from s2s_magic.view.report import OwnerRow

OWNS = re.compile(r"(\S+) owns (\d[\d,]*|no) variable")


@pytest.mark.parametrize("title", zoo())
def test_explanations_findings_tree_and_wiring_agree_on_the_one_owner(title: str) -> None:
    ledger = ran(zoo()[title]).ledger
    owned = Counter(variable.object for variable in ledger.variables.values())
    by_name = {layer.name: owned[key] for key, layer in ledger.layers.items()}
    said = [sentence for layer in ledger.layers.values() if _is_known(layer) for sentence in _told(ledger, layer.name)]
    said += [finding.text for finding in ledger.findings]
    claims = [claim for sentence in said for claim in OWNS.findall(sentence) if claim[0] in by_name]
    assert claims
    for name, count in claims:
        assert by_name[name] == (0 if count == "no" else int(count.replace(",", ""))), (name, count)
    tree = report(ledger).tree()
    rows = [line.row for line in tree if isinstance(line.row, OwnerRow)]
    assert sorted(key for row in rows for key in row.variables) == sorted(ledger.variables)
    assert {row.key: len(row.variables) for row in rows if row.key in ledger.layers} == {
        row.key: owned[row.key] for row in rows if row.key in ledger.layers
    }
    sizes = Counter[str]()
    for variable in ledger.variables.values():
        sizes[variable.object] += variable.params
    drawn = re.findall(r"<title>([^<]*): [^<]*?owns ([\d,]+) parameters", to_svg(ledger))
    names = {layer.name: key for key, layer in ledger.layers.items()}
    assert all(int(size.replace(",", "")) == sizes[names[name]] for name, size in drawn if name in names)


def _is_known(layer) -> bool:
    return not layer.implicit and layer.class_name != "InputLayer"


def _told(ledger, name: str) -> tuple[str, ...]:
    return explain(ledger, name).sentences


def test_a_decoder_owns_nothing_itself_and_holds_its_cell_and_its_output_layer() -> None:
    seen = api.build("vocab: 30\nembed: 6\nencoder: lstm(8)\ndecoder: lstm(8)\ncode: tfa", name="small")
    assert "decoder owns no variables itself: it holds decoder_cell (3 variables) and output_layer (2)" in " ".join(
        api.explain(seen, "decoder").sentences
    )
    assert "encoder owns no variables itself: it holds encoder.cell (3 variables)" in " ".join(
        api.explain(seen, "encoder").sentences
    )
    assert "decoder_cell owns 3 variables" in " ".join(api.explain(seen, "decoder_cell").sentences)
    drawn = to_svg(seen.ledger)
    assert "<title>decoder: BasicDecoder, the decoder, holds 750 parameters</title>" in drawn
    assert "embeddings: Embedding, the embedding of source and target, called 2 times, owns 180 parameters" in drawn
    for text in (to_text(report(seen.ledger)), to_html(report(seen.ledger), page=True), drawn):
        assert not re.search(r"\b(decoder|encoder) owns \d", text)


REPLACED = """
import numpy as np
from tensorflow import keras
x = keras.Input([4])
first = keras.layers.Dense(3)
y = first(x)
model = keras.Model(x, y)
model.compile("sgd", "mse")
model.fit(np.ones([4, 4]), np.ones([4, 3]), verbose=0)
"""
REPLACED += 'model.quantize("int8")' if KERAS3 else 'first.kernel = first.add_weight("kernel", [4, 3])'


def test_a_variable_that_its_layer_no_longer_lists_is_neither_owned_nor_called_never_trained() -> None:
    seen = ran(REPLACED)
    replaced, live = (variable for variable in seen.ledger.variables.values() if short_name(variable) == "kernel")
    assert (replaced.dropped, live.dropped) == (True, False)
    (finding,) = [finding for finding in seen.ledger.findings if finding.kind == "untracked"]
    assert finding.text.startswith("first.kernel (12 numbers) was a weight of first, and no layer lists it any more")
    assert not [finding for finding in seen.ledger.findings if finding.kind == "name"]
    said = " ".join(explain(seen.ledger, "first").sentences)
    assert f"first owns {3 if KERAS3 else 2} variables, {18 if KERAS3 else 15} parameters: " in said
    assert "in line 10" in " ".join(explain(seen.ledger, "first.kernel").sentences)
    assert "first listed it once, and no layer does any more" in " ".join(explain(seen.ledger, "v0").sentences)
    text = to_text(report(seen.ledger))
    assert "never trained" not in text
    assert seen.ledger.events[-1].trainable_params == (3 if KERAS3 else 15)
    assert "no layer lists it any more" in said
    rows = report(seen.ledger).variables
    assert [len(rows[key].findings) for key in seen.ledger.variables if rows[key].name == "kernel"] == [1, 0]
    page = to_html(report(seen.ledger), page=True)
    assert "first, before" in page
    assert "no longer a weight" in page
    assert "first" in to_svg(seen.ledger)
    assert re.search(r"^first, before \(no longer its weights\) +12 ", text, re.MULTILINE)
