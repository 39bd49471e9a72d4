"""Questions about a model, and what changed in it since its code was run before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2s_magic.errors import LookupFailed

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.ledger.compare import Comparison
    from s2s_magic.view.quizzes import QuizDisplay


def quiz(model: Seq2Seq, questions: int = 5, seed: int = 0) -> QuizDisplay:
    """Make questions about a model from its ledger: predict, and then open the answer with its reason.

    Parameters
    ----------
    model
        The result of `build` or `trace`.
    questions
        How many at most.
    seed
        Another seed draws other questions, as far as the model has them.

    Returns
    -------
    QuizDisplay
        What a notebook or a terminal shows. Its ``questions`` are data: each has ``text``, ``choices``, ``answer`` (the
        number of the right choice, from 0), ``why``, and the ``place`` in the code.

    Raises
    ------
    LookupFailed
        When there is nothing to ask about, or less than one question is wanted.

    Examples
    --------
    >>> code = "from tensorflow import keras; x = keras.Input([3]); layer = keras.layers.Dense(2); y = layer(x)"
    >>> model = s2s_magic.trace(code)
    >>> question = s2s_magic.quiz(model, questions=1).questions[0]
    >>> question.text
    'Does the call of layer create variables?'
    >>> question.choices[question.answer]
    'Yes: 2 new variables'
    """
    from s2s_magic.ledger.asking import ask
    from s2s_magic.view.quizzes import show_quiz

    return show_quiz(model.name, ask(model.refresh(), questions, seed))


def diff(model: Seq2Seq) -> Comparison:
    """Compare a model with what its name had before its cell was run again: owners, calls and wires.

    Parameters
    ----------
    model
        A model that ``%%seq2seq build`` or ``trace`` bound.

    Returns
    -------
    Comparison
        What `compare` returns for the two runs, with ``changes`` in the order of the code.

    Raises
    ------
    LookupFailed
        When there was no run before.

    Examples
    --------
    >>> spec = "{{vocab: 9, embed: {}, encoder: gru(2), decoder: gru(2), max_length: 5}}"
    >>> earlier, model = s2s_magic.build(spec.format(2)), s2s_magic.build(spec.format(3))
    >>> model.previous = earlier.ledger  # in a notebook, the cell's next run does so
    >>> [f"{change.about}: {change.text}" for change in s2s_magic.diff(model).changes][:2]
    ['embeddings: embeddings (9, 2) → (9, 3)', 'encoder.cell: kernel (2, 6) → (3, 6)']
    """
    from s2s_magic.ledger.compare import compare_runs

    if model.previous is None:
        raise LookupFailed(
            f"{model.name} has no run before this one: edit its cell, run it again, and ask then; "
            "or compare two models by their names, with %seq2seq compare"
        )
    return compare_runs(model.previous, model.refresh())
