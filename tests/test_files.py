"""Files are written completely or not at all, and no other file is lost."""

import gc
import json
import os
import stat
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from interrupting import interrupted, places
from ledgers import translator_ledger
from s2s_magic import Seq2Seq
from s2s_magic.errors import LookupFailed, UsageError
from s2s_magic.files import check_targets, write_whole
from s2s_magic.tracing import Live

pytestmark = pytest.mark.once

KINDS = ("json", "html", "svg", "png")


@pytest.fixture(scope="module")
def shell():
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(colors="nocolor")
    made.run_line_magic("load_ext", "s2s_magic")
    made.run_cell(
        "%%seq2seq trace m\nfrom tensorflow import keras\nx = keras.Input([2])\n"
        "model = keras.Model(x, keras.layers.Dense(2)(x))"
    )
    yield made
    InteractiveShell.clear_instance()


def run(shell, cell):
    shell.run_cell(cell).raise_error()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_ours_is_replaced_and_no_other(shell, tmp_path, kind, capsys):
    ours, other = tmp_path / f"ours.{kind}", tmp_path / f"other.{kind}"
    run(shell, f"%seq2seq inspect m --{kind} {ours}")
    ours.chmod(0o640)
    before = ours.stat().st_ino
    run(shell, f"%seq2seq inspect m --{kind} {ours}")
    assert ours.stat().st_ino != before, "it was written beside, and took its place"
    assert stat.S_IMODE(ours.stat().st_mode) == 0o640
    other.write_text("{}")
    with pytest.raises(UsageError, match="--overwrite"):
        run(shell, f"%seq2seq inspect m --{kind} {other}")
    assert other.read_text() == "{}"
    run(shell, f"%seq2seq inspect m --{kind} {other} --overwrite")
    assert other.read_bytes()[:4] == ours.read_bytes()[:4]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"other.{kind}", f"ours.{kind}"]


def test_where_one_file_is_refused_none_is_written(shell, tmp_path):
    (tmp_path / "there.svg").write_text("mine")
    with pytest.raises(UsageError):
        run(shell, f"%seq2seq inspect m --json {tmp_path / 'new.json'} --svg {tmp_path / 'there.svg'}")
    assert [path.name for path in tmp_path.iterdir()] == ["there.svg"]
    with pytest.raises(UsageError, match="given for two files"):
        run(shell, f"%seq2seq inspect m --json {tmp_path / 'a'} --svg {tmp_path}/./a")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("a\0b", "not a name that a file can have"),
        ("x" * 5000, "not a name that a file can have"),
        ("\udc80\ud800", "not a name that a file can have"),
        ("~nobody-of-this-name/a", "not a name that a file can have"),
        ("/", "is a folder"),
        ("", "is a folder"),
        ("/dev/null", "is no regular file"),
    ],
)
def test_what_no_file_can_be_called_is_refused_in_one_line(word, said):
    with pytest.raises(UsageError, match=said) as caught:
        check_targets([word], overwrite=True)
    assert "\n" not in str(caught.value)
    assert "\0" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_null_byte_on_the_line_makes_no_file(shell, tmp_path):
    before = set(Path.cwd().iterdir())
    with pytest.raises(UsageError, match="not a name"):
        run(shell, f"%seq2seq inspect m --json {tmp_path}/a\0b.json")
    assert (set(Path.cwd().iterdir()), list(tmp_path.iterdir())) == (before, [])


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(LookupFailed, match="No such file or directory"):
        write_whole({tmp_path / "missing" / "a.json": b"{}"})


def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text(json.dumps(translator_ledger().to_dict()))
    link.symlink_to(real)
    (path,) = check_targets([str(link)], overwrite=False)
    write_whole({path: b"new"})
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_an_interrupt_at_any_line_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "a.json"

    def call():
        write_whole({path: b"new"})

    found = [place for place in places(call) if place.file in ("files.py", "undoing.py")]
    assert len(found) > 25
    for place in found:
        path.write_bytes(b"old")
        open_before = len(os.listdir("/proc/self/fd"))
        outcome = interrupted(call, place)
        assert isinstance(outcome.raised, KeyboardInterrupt), place
        assert path.read_bytes() in (b"old", b"new")
        assert [each.name for each in tmp_path.iterdir()] == ["a.json"], place
        del outcome
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= open_before, place


def test_a_name_that_holds_half_a_character_is_written_as_json(tmp_path):
    ledger = translator_ledger()
    ledger.name = "\ud800"
    path = tmp_path / "a.json"
    write_whole({path: json.dumps(Seq2Seq("m", ledger, Live(), "", {}).ledger.to_dict()).encode()})
    assert json.loads(path.read_text())["name"] == "\ud800"
