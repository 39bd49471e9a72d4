"""The magics in a real InteractiveShell: loading, unloading, help, errors."""

import subprocess
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell

from s2s_magic.compatibility import matchers
from s2s_magic.completion import candidates
from s2s_magic.errors import LookupFailed, SpecError, UsageError


@pytest.fixture(scope="module")
def one_shell():
    shell = InteractiveShell.instance()
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(one_shell):
    one_shell.run_line_magic("load_ext", "s2s_magic")
    yield one_shell
    if "s2s_magic" in one_shell.extension_manager.loaded:
        one_shell.run_line_magic("unload_ext", "s2s_magic")
    one_shell.config.pop("Seq2SeqMagics", None)
    one_shell.reset(new_session=False)


def run(shell, cell):
    """Run a cell and raise what it raised, as a user of the notebook would see it."""
    result = shell.run_cell(cell)
    result.raise_error()
    return result.result


def left_behind(shell):
    return (
        [c for c in shell.configurables if type(c).__name__ == "Seq2SeqMagics"],
        [m for m in matchers(shell) if "s2s_magic" in str(m.__module__)],
        [kind for kind in ("line", "cell") if "seq2seq" in shell.magics_manager.magics[kind]],
        [name for name in shell.magics_manager.registry if name == "Seq2SeqMagics"],
    )


def test_loading_imports_nothing_heavy():
    code = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "s2s_magic")
assert "seq2seq" in shell.magics_manager.magics["cell"]
heavy = ("tensorflow", "keras", "tensorflow_addons", "matplotlib", "ipywidgets", "pydantic")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "[]"


def test_unloading_and_reloading_leave_nothing_behind_or_doubled(shell):
    for _ in range(3):
        shell.run_line_magic("reload_ext", "s2s_magic")
    assert [len(found) for found in left_behind(shell)] == [1, 1, 2, 1]
    shell.run_line_magic("unload_ext", "s2s_magic")
    assert [len(found) for found in left_behind(shell)] == [0, 0, 0, 0]


def test_settings_survive_a_reload(shell):
    run(shell, "%config Seq2SeqMagics.display = 'text'")
    run(shell, "%config Seq2SeqMagics.full_tracebacks = True")
    shell.run_line_magic("reload_ext", "s2s_magic")
    magics = shell.magics_manager.registry["Seq2SeqMagics"]
    assert (magics.display, magics.full_tracebacks) == ("text", True)


def test_a_setting_that_is_none_of_the_choices_is_refused(shell, caplog):
    run(shell, "%config Seq2SeqMagics.display = 'sound'")
    assert "expected any of ['auto', 'widget', 'html', 'text']" in caplog.text
    assert shell.magics_manager.registry["Seq2SeqMagics"].display == "auto"


def test_the_question_mark_shows_the_overview(shell, capsys):
    run(shell, "%seq2seq?")
    assert "%%seq2seq build" in capsys.readouterr().out
    run(shell, "%seq2seq inspect --help")
    assert "--after" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cell", "kind", "words"),
    [
        ("%seq2seq inspect nothing", LookupFailed, "no model named 'nothing'"),
        ("%seq2seq inspekt nothing", UsageError, "did you mean 'inspect'"),
        ("%%seq2seq build m\nvocab: 100\nembed: 10\nencodr: lstm(8)\ndecoder: lstm(8)", SpecError, "line 4, column 1"),
    ],
)
def test_an_expected_error_is_one_clean_line_and_a_real_error(shell, capsys, cell, kind, words):
    result = shell.run_cell(cell)
    assert isinstance(result.error_in_exec, kind)
    assert words in str(result.error_in_exec)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert kind.__name__ in shown.out + shown.err


def test_full_tracebacks_show_the_frames(shell, capsys):
    run(shell, "%config Seq2SeqMagics.full_tracebacks = True")
    shell.run_cell("%seq2seq inspect nothing")
    shown = capsys.readouterr()
    assert "Traceback" in shown.out + shown.err


def test_a_name_that_is_no_model_is_said_to_be_what_it_is(shell):
    run(shell, "translator = 3")
    with pytest.raises(LookupFailed, match="'translator' is int"):
        run(shell, "%seq2seq inspect translator")


def completions(shell, text):
    return [c.text for c in shell.Completer.completions(text, len(text)) if c.type != "magic"]


@pytest.fixture(scope="module")
def tiny_model():
    from s2s_magic import trace

    return trace(
        "from tensorflow import keras\nencoder_inputs = keras.Input([None], dtype='int32')\n"
        "encoder_embeddings = keras.layers.Embedding(9, 2)(encoder_inputs)\nencoder = keras.layers.LSTM(3)\n"
        "encoder_outputs = encoder(encoder_embeddings)\nmodel = keras.Model(encoder_inputs, encoder_outputs)\n",
        name="m",
    )


@pytest.mark.parametrize(
    ("before", "typed", "offered"),
    [
        ("%%seq2seq build m\nencoder: ", "", ["lstm(", "gru(", "bidirectional("]),
        ("%%seq2seq build m\nencoder: 2 * ", "bi", ["bidirectional("]),
        ("%%seq2seq build m\nencoder: bidirectional(", "", ["lstm(", "gru("]),
        ("%%seq2seq build m\nencoder: bidirectional(", "ls", ["lstm("]),
        ("%%seq2seq build m\nvocab: 9\ndecoder: ", "", ["lstm(", "gru("]),
        ("%%seq2seq build m\nbridge: ", "", ["none", "dense", "zero"]),
        ("%%seq2seq build m\ntokens: ", "c", ["char"]),
        ("%%seq2seq build m\nvocab: {source: ", "sen", ["sentences"]),
        ("%%seq2seq fit m\noptimizer: ", "adam", ["adam(", "adamw(", "adamax("]),
        ("%%seq2seq fit m\nmetrics: [", "acc", ["accuracy"]),
        ("%%seq2seq fit m\nsource: ", "sen", ["sentences"]),
        ("%%seq2seq fit m\ntarget: ", "", ["sentences"]),
        ("%seq2seq decode m ", "sen", ["sentences"]),
        ("%seq2seq decode m --max-length 5 ", "", ["sentences"]),
        ("%seq2seq decode ", "", ["m"]),
        ("%seq2seq explain m ", "encoder_", ["encoder_embeddings", "encoder_inputs", "encoder_outputs"]),
        ("%seq2seq explain m ", "encoder.cell.k", ["encoder.cell.kernel"]),
        ("%seq2seq compare m ", "", ["m"]),
        ("%seq2seq ", "insp", ["inspect"]),
        ("r = %seq2seq ", "insp", ["inspect"]),
        ("r = %seq2seq explain ", "", ["m"]),
    ],
)
def test_completion_offers_what_can_stand_there(shell, tiny_model, before, typed, offered):
    from IPython.core.completer import provisionalcompleter

    run(shell, "import os\nsentences = ['a', 'b']\n_hidden = [1]\ndef show(): pass")
    shell.push({"m": tiny_model})
    text = before + typed
    with provisionalcompleter():
        found = [c for c in shell.Completer.completions(text, len(text)) if c.type != "magic"]
    assert sorted(text[: c.start] + c.text for c in found) == [before + word for word in sorted(offered)]


@pytest.mark.parametrize(
    "text",
    [
        "%%seq2seq build m\nencoder: lstm(8, ",
        "%%seq2seq build m\nembed: ",
        "%%seq2seq build m\nnothing: ",
        "%seq2seq list ",
        "%seq2seq explain nothing ",
        "r == %seq2seq insp",
        "r = 7 %seq2seq insp",
    ],
)
def test_completion_offers_nothing_of_ours_where_nothing_of_ours_can_stand(text):
    assert not candidates(text, dict)


def test_completion_offers_verbs_options_and_spec_keys(shell):
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        assert "inspect" in [text.strip() for text in completions(shell, "%seq2seq insp")]
        assert any("after" in text for text in completions(shell, "%seq2seq inspect m --af"))
        assert any("encoder" in text for text in completions(shell, "%%seq2seq build m\nvocab: 100\nenc"))
        assert any("epochs" in text for text in completions(shell, "%%seq2seq fit m\nep"))
