"""A report as Markdown: short, and nothing in it is taken for markup."""

import html
import re

import mistune
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledgers import large_ledger, translator_ledger
from s2s_magic.ledger import Ledger
from s2s_magic.view import report
from s2s_magic.view.escaping import in_a_line
from s2s_magic.view.markdown import to_markdown

RENDER = mistune.create_markdown(plugins=["table"], escape=False)


@pytest.mark.parametrize("name", ["view_translator", "view_translator_after_5", "view_translator_training"])
def test_the_markdown_is_the_one_on_file(name, golden):
    after = 5 if name.endswith("5") else None
    training = name.endswith("training")
    golden(f"{name}.md", to_markdown(report(translator_ledger(training=training), after=after, training=training)))


def test_a_renderer_finds_its_tables():
    page = RENDER(to_markdown(report(translator_ledger(training=True), training=True)))
    assert page.count("<table>") == 3
    heads = re.findall(r"<th[^>]*>(.*?)</th>", page)
    assert heads[:5] == ["Variable", "Gradient norm", "On steps", "Distance", "Verdict"]
    assert "<td><code>embeddings(encoder_inputs)</code></td>" in page


def test_nothing_and_a_large_ledger_can_be_written():
    assert to_markdown(report(Ledger("nothing"))) == "**nothing**: no variables\n"
    assert "Nothing was fitted yet." in to_markdown(report(translator_ledger(), training=True))
    assert to_markdown(report(large_ledger(300, 12))) == "**large**: no variables\n"


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=30))
@example("a|b`c``d*e_f_ <script> & [x](y) ~~z~~ \\ # \n- 1. g")
@example("_x_ __init__ snake_case &amp;")
@example("\r")
def test_names_are_shown_as_they_are(name):
    ledger = translator_ledger()
    layers = {key: layer.model_copy(update={"name": name}) for key, layer in ledger.layers.items()}
    variables = {key: each.model_copy(update={"owner": name}) for key, each in ledger.variables.items()}
    events = [event.model_copy(update={"source": name}) for event in ledger.events]
    named = Ledger("m", cells=ledger.cells, events=events, layers=layers, variables=variables)
    page = RENDER(to_markdown(report(named)))
    assert page.count("<table>") == 2
    cells = [html.unescape(re.sub(r"</?code>", "", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page, re.S)]
    expected = " ".join(in_a_line(name).split())
    assert " ".join(cells[-5].split()) == expected
    assert " ".join(cells[2].split()) == " ".join(in_a_line(" ".join(name.split())).split())
