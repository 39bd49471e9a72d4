"""Code that reads the rows of a fit: arguments for the files, the tokens, and batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from s2s_magic.data.inputs import inputs_of, roles
from s2s_magic.data.subwords import Subwords
from s2s_magic.data.vocabularies import AnyTokenizer
from s2s_magic.errors import FitError
from s2s_magic.exporting.token_files import model_line, reader, spelling_line, vocabulary_line, writer
from s2s_magic.handle import Seq2Seq
from s2s_magic.spec import FitPlan
from s2s_magic.spec.references import is_file, path_and_column

SIDES = ("source", "target")
_WIDE = 88

_READ_LINES = '''\
def read_lines(path):
    """Return the lines of a file."""
    with open(path, newline="\\n", encoding="utf-8-sig") as file:
        return [line.removesuffix("\\n").removesuffix("\\r") for line in file]'''
_READ_COLUMN = '''\
def read_column(path, column):
    """Return the fields of a column of a table, whose first line names the columns."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        return [row[column] for row in csv.DictReader(file{settings})]'''
_TABS = ', delimiter="\\t", quoting=csv.QUOTE_NONE'

_BATCHES = '''\
def as_model_reads(source, target, lengths):
    """Return the inputs of the model, and its targets: the decoder reads each id of these one step late."""
    fed = tf.pad(target[:, :-1], [[0, 0], [1, 0]], constant_values={start})
{weights}    return ({inputs}), target{weighted}


def make_batches(sources, targets, shuffle):
    """Return batches of rows, each padded to its longest row."""
    rows = tf.data.Dataset.from_generator(
        lambda: ((source, target, len(target)) for source, target in zip(sources, targets)),
        output_signature=tuple(tf.TensorSpec(shape, tf.int32) for shape in ([None], [None], [])),
    )
    rows = rows.apply(tf.data.experimental.assert_cardinality(len(targets)))
    if shuffle:
        rows = rows.shuffle(len(targets))
    return rows.padded_batch({batch}, padding_values=({padding}, {padding}, 0)).map(as_model_reads)'''
_WEIGHTS = """\
    # What fills up short rows counts in nothing: the loss is the mean over the ids that there are.
    weights = tf.sequence_mask(lengths, tf.shape(target)[1], tf.float32)
    weights *= tf.cast(tf.size(weights), tf.float32) / tf.reduce_sum(weights)
"""


def named_files(seq2seq: Seq2Seq, plan: FitPlan) -> dict[str, str]:
    """Return what the fit read, by argument of the program: the names of variables or files.

    Raises
    ------
    FitError
        When the model is no encoder-decoder of ids, or a name is one of a folder or a packed file.
    """
    if plan.source is None or not isinstance(plan.target, str) or roles(seq2seq) is None:
        raise FitError(f"a program is written for an encoder-decoder of ids, and {seq2seq.name} is none")
    named = {"source": plan.source, "target": plan.target}
    if isinstance(plan.validation, tuple):
        named |= dict(zip(("held-source", "held-target"), plan.validation, strict=True))
    for name in named.values():
        path, column = path_and_column(name) if is_file(name) else ("", None)
        if is_file(name) and (path.endswith(("/", ".gz")) or Path(path).expanduser().is_dir()):
            raise FitError(f"a program reads plain files of text, and the last fit of {seq2seq.name} read {name}")
        if isinstance(column, int):
            raise FitError(f"a program reads columns by their names, and the last fit of {seq2seq.name} read {name}")
    return named


def arguments_code(named: Mapping[str, str], *, texts: bool) -> str:
    """Return the code that reads the program's arguments."""
    what = "a text" if texts else "a row of ids, such as 5 3 8,"
    lines = ["parser = argparse.ArgumentParser(description=__doc__)"]
    for argument, name in named.items():
        path, column = path_and_column(name) if is_file(name) else (f"{argument}.txt", None)
        kind = f"file with {what} in each line" if column is None else f"table with the column {column}"
        told = kind if is_file(name) else f"{kind}; in the notebook it was {name}"
        lines.append(
            f'parser.add_argument("--{argument}", default={quoted(path)}, help={quoted(told.replace("%", "%%"))})'
        )
    told = "what to decode after the training"
    lines += [f'parser.add_argument("texts", nargs="*", help="{told}")', "arguments = parser.parse_args()"]
    return "\n".join(lines)


def quoted(text: str) -> str:
    """Return code for a text, in double quotes where it can be."""
    return repr(text) if {'"', "\\"} & set(text) or not text.isprintable() else f'"{text}"'


def needs_csv(named: Mapping[str, str]) -> bool:
    """Return whether tables are read."""
    return any(is_file(name) and path_and_column(name)[1] is not None for name in named.values())


def tokens_code(tokenizers: Mapping[str, AnyTokenizer], end: int | None) -> str:
    """Return the code of the tokens, and of the functions from texts to ids and back."""
    source, target = (tokenizers.get(side) for side in SIDES)
    lines, functions = [], [reader(source, "source", "read_source")]
    for side, each in sorted(tokenizers.items()):
        if isinstance(each, Subwords):
            lines.append(model_line(side, f'Path(__file__).with_suffix(".{side}.model")'))
        if side == "source" or target != source:
            lines.append(f"tokens_of_{side} = {_literal(each)}")  # the code of a model may have a name source_tokens
            lines.append(vocabulary_line(each, side, f"tokens_of_{side}"))
    if target is not None:
        lines.append(spelling_line("tokens_of_source" if target == source else "tokens_of_target"))
    if target == source:
        functions.append("read_target = read_source")
    else:
        functions.append(reader(target, "target", "read_target"))
    functions.append(writer(target, end, "write_text"))
    return "\n\n\n".join(["\n".join(lines), *functions]).strip("\n")


def _literal(tokenizer: AnyTokenizer) -> str:
    """Return code for the tokens: a string of characters, or a list with as many in a line as there is room for."""
    if tokenizer.unit == "char" and len(text := "".join(tokenizer.tokens)) <= _WIDE:
        return quoted(text)
    lines = [""]
    for token in map(quoted, tokenizer.tokens):
        if lines[-1] and len(lines[-1]) + len(token) > _WIDE:
            lines.append("")
        lines[-1] += f"{token}, "
    return "[\n" + "".join(f"    {line.rstrip()}\n" for line in lines) + "]"


def rows_code(seq2seq: Seq2Seq, plan: FitPlan, named: Mapping[str, str]) -> str:
    """Return the code that reads the rows, and holds some back where the fit did."""
    functions = []
    plain = [name for name in named.values() if not is_file(name) or path_and_column(name)[1] is None]
    if plain:
        functions.append(_READ_LINES)
    if needs_csv(named):
        tables = {path_and_column(name)[0] for name in named.values() if name not in plain}
        functions.append(_READ_COLUMN.format(settings="" if any(path.endswith(".csv") for path in tables) else _TABS))
    lines = [f"{name.replace('-', '_')}_rows = {_rows(name, named[name])}" for name in named]
    ids = seq2seq.ids
    if ids.added and ids.end is not None:
        for name in named:
            if name.endswith("target"):
                rows = f"{name.replace('-', '_')}_rows"
                lines.append(f"{rows} = [[*row, {ids.end}] if row[-1:] != [{ids.end}] else row for row in {rows}]")
    if isinstance(plan.validation, float):
        lines += [
            "# The last rows are held back for the validation.",
            f"kept = int(len(source_rows) * (1.0 - {plan.validation}))",
            "source_rows, held_source_rows = source_rows[:kept], source_rows[kept:]",
            "target_rows, held_target_rows = target_rows[:kept], target_rows[kept:]",
        ]
    if plan.validation is not None:
        lines += [
            "# Rows of like lengths stand together there, so that little is filled up.",
            "held = sorted(zip(held_source_rows, held_target_rows), key=lambda pair: (len(pair[1]), len(pair[0])))",
            "held_source_rows, held_target_rows = zip(*held)",
        ]
    return "\n\n\n".join([*functions, "\n".join(lines)])


def _rows(argument: str, name: str) -> str:
    side, given = argument.removeprefix("held-"), f"arguments.{argument.replace('-', '_')}"
    column = path_and_column(name)[1] if is_file(name) else None
    texts = f"read_lines({given})" if column is None else f"read_column({given}, {quoted(str(column))})"
    return f"[read_{side}(text) for text in {texts}]"


def batches_code(seq2seq: Seq2Seq, plan: FitPlan) -> str:
    """Return the code that makes batches of the rows, as the model reads them."""
    known = roles(seq2seq) or {}
    values = {"encoder": "source", "decoder": "fed", "lengths": "lengths"}
    by_name = {name: values[role] for role, name in known.items()}
    padding = seq2seq.ids.padding
    ids = seq2seq.ids
    return _BATCHES.format(
        start=(ids.start or 0) if ids.added else 0,
        weights=_WEIGHTS if padding is None else "",
        weighted=", weights" if padding is None else "",
        inputs=", ".join(by_name[each.name] for each in inputs_of(seq2seq)),
        batch=plan.batch,
        padding=padding or 0,
    )
