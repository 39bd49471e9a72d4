"""Assign the variables named in a fit body to the model's inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s2s_magic import backend
from s2s_magic.data.inputs import ModelOutput, Role, inputs_of, output_form, outputs_of
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.losses import asks_for_target, compares, losses_of
from s2s_magic.data.table import Form
from s2s_magic.errors import nearest

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan

Names = str | tuple[str, ...] | Mapping[str, str]


@dataclass(frozen=True)
class Part:
    """The variables that hold the data of a fit or of its validation.

    Attributes
    ----------
    key
        Prefix of the body's keys: "validation." for a validation.
    source, decoder_input, lengths
        Variables, where the body names them.
    inputs, target, weights
        Variables by input or output.
    """

    key: str
    source: Asked | None = None
    decoder_input: Asked | None = None
    lengths: Asked | None = None
    inputs: Mapping[str, str] | tuple[str, ...] = ()
    target: Names = ""
    target_key: str = "target"
    weights: Names | None = None


def training_part(plan: FitPlan) -> Part:
    """Return the training data of a plan."""

    def asked(key: str, name: str | None) -> Asked | None:
        return None if name is None else Asked(key, name)

    return Part(
        "",
        source=asked("source", plan.source),
        decoder_input=asked("decoder_input", plan.decoder_input),
        lengths=asked("lengths", plan.lengths),
        inputs=plan.inputs,
        target=plan.target or "",
        weights=plan.weights,
    )


def validation_part(plan: FitPlan) -> Part | None:
    """Return the validation data of a plan; None where the body names no variables for it."""
    held = plan.validation
    if isinstance(held, tuple):
        return Part("validation.", source=Asked("validation.0", held[0]), target=held[1], target_key="validation.1")
    if held is None or isinstance(held, float | str):
        return None
    source = None if held.source is None else Asked("validation.source", held.source)
    return Part("validation.", source, None, None, held.inputs, held.target, "validation.target", held.weights)


def named_inputs(desk: Desk, part: Part) -> dict[str, Asked]:
    """Return each input's variable by the input's name; ``inputs`` may use the user's names, Keras's, or the order."""
    found, key = inputs_of(desk.seq2seq), f"{part.key}inputs"
    if not isinstance(part.inputs, Mapping):
        if part.inputs and len(part.inputs) != len(found):
            known = ", ".join(i.name for i in found)
            desk.fault(key, f"the model has {len(found)} inputs, {known}, and there are {len(part.inputs)} variables")
        pairs = zip(found, enumerate(part.inputs), strict=False)
        return {i.name: Asked(f"{key}.{number}", name) for i, (number, name) in pairs}
    names = {name: i.name for i in found for name in (i.keras_name, i.name)}
    for name in part.inputs:
        if name not in names:
            known = nearest(name, names) or f"; it has {', '.join(i.name for i in found)}"
            desk.fault(f"{key}.{name}", f"the model has no input {name!r}{known}")
    return {names[n]: Asked(f"{key}.{n}", variable) for n, variable in part.inputs.items() if n in names}


def named_by_role(part: Part, known: Mapping[Role, str]) -> dict[str, Asked]:
    """Return the variables that the body names by role, by the names of the inputs that have these roles."""
    asked = {"encoder": part.source, "decoder": part.decoder_input, "lengths": part.lengths}
    return {name: found for role, name in known.items() if (found := asked[role]) is not None}


def check_roles_read(desk: Desk, part: Part, known: Mapping[Role, str]) -> None:
    """Report the decoder's input and the lengths where the model has no input for them: nothing would read them."""
    asked = {"decoder": (part.decoder_input, "be its decoder's"), "lengths": (part.lengths, "take lengths")}
    for role, (given, what) in asked.items():
        if given is None or role in known:
            continue
        if backend.is_wired(desk.seq2seq.model):
            first, *more = inputs_of(desk.seq2seq)
            why = f"no input of {desk.seq2seq.name} is known to {what}"
            how = f"leave '{given.key}' out"
            how += f", or name the variable of each input, 'inputs: {{{first.name}: X}}'" if more else ""
        else:
            source = part.source.variable if part.source is not None else "X"
            kind = type(desk.seq2seq.model).__name__
            why = f"{desk.seq2seq.name} is of class {kind}, which takes its inputs as one value"
            how = f"name them all as it takes them, 'inputs: [{source}, {given.variable}]'"
        desk.fault(given.key, f"nothing would read {given.variable}: {why}; {how}")


def compared_outputs(desk: Desk) -> list[ModelOutput]:
    """List the outputs that have a target."""
    pairs = zip(outputs_of(desk.seq2seq), losses_of(desk.seq2seq, desk.plan), strict=True)
    return [output for output, loss in pairs if compares(loss) != "nothing"]


def named_targets(desk: Desk, part: Part) -> tuple[list[tuple[ModelOutput, Asked]], Form]:
    """Return each output that has a target with its variable, and the form in which Keras gets the targets.

    One variable named for several outputs is passed to Keras once where Keras compares every output with it.
    """
    if not part.target:
        return [], Form()
    compared = compared_outputs(desk)
    asked = _by_output(desk, part.target, part.target_key, compared)
    missing = [output.name for output in compared if output.keras_name not in asked]
    if missing and not desk.faults:
        desk.fault(
            part.target_key,
            f"nothing says what {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} compared with: the loss "
            f"compares each of {', '.join(o.name for o in compared)}, so {a_target_each(compared)}",
        )
    pairs = [(output, asked[output.keras_name]) for output in compared if output.keras_name in asked]
    if (
        backend.RULES.shares_a_target
        and len(pairs) > 1
        and isinstance(part.target, str)
        and isinstance(part.weights, str | None)
    ):
        return pairs, Form(alone=True)
    return pairs, output_form(desk.seq2seq, [output for output, _ in pairs])


def a_target_each(outputs: Sequence[ModelOutput]) -> str:
    """Return a hint for naming one target per output."""
    return f"name a variable for each, 'target: {{{', '.join(f'{output.name}: Y' for output in outputs)}}}'"


def named_weights(desk: Desk, part: Part, outputs: Sequence[ModelOutput]) -> list[Asked | None]:
    """Return the weights variable of each output, None where it has none."""
    if part.weights is None:
        return []
    key = f"{part.key}weights"
    asked = _by_output(desk, part.weights, key, outputs)
    return [asked.get(output.keras_name) for output in outputs]


def _by_output(desk: Desk, names: Names, key: str, outputs: Sequence[ModelOutput]) -> dict[str, Asked]:
    """Return the variable of each output by Keras's output name; a single variable serves all outputs, as in Keras."""
    known = ", ".join(output.name for output in outputs)
    if isinstance(names, str):
        return {output.keras_name: Asked(key, names) for output in outputs}
    if not isinstance(names, Mapping):
        if len(names) != len(outputs):
            what = f"the loss compares {len(outputs)} outputs, {known}" if outputs else "no loss compares any output"
            desk.fault(key, f"{what}, and there are {len(names)} variables")
        pairs = zip(outputs, enumerate(names), strict=False)
        return {output.keras_name: Asked(f"{key}.{number}", name) for output, (number, name) in pairs}
    called = {name: output.keras_name for output in outputs for name in (output.keras_name, output.name)}
    others = {name for output in outputs_of(desk.seq2seq) for name in (output.keras_name, output.name)}
    for name in names:
        if name not in called:
            why = (
                f"no loss compares the output {name!r}"
                if name in others
                else f"the model has no output {name!r}{nearest(name, called) or f'; it has {known}'}"
            )
            desk.fault(f"{key}.{name}", why)
    return {called[name]: Asked(f"{key}.{name}", variable) for name, variable in names.items() if name in called}


def check_target_named(desk: Desk) -> None:
    """Raise a fault where the body names no target, and the fit needs one."""
    if desk.plan.target is None and asks_for_target(desk.seq2seq.model, desk.plan):
        desk.fault("target", "the key 'target' is missing: expected for instance 'target: Y'")
        desk.raise_faults()


def targets_as_given(part: Part) -> tuple[list[Asked], Form]:
    """List the targets of a model whose outputs no loss of Keras compares with them; it may have none."""
    return as_given(part.target, part.target_key, None) if part.target else ([], Form())


def as_given(names: Any, key: str, part: Part | None) -> tuple[list[Asked], Form]:
    """List the variables a key names, and the form: one variable, several in order, or several by name."""
    if isinstance(names, str):
        alone = part.source if part is not None and part.source is not None else Asked(key, names)
        return [alone], Form(alone=True)
    if isinstance(names, Mapping):
        return [Asked(f"{key}.{name}", variable) for name, variable in names.items()], Form(names=tuple(names))
    return [Asked(f"{key}.{number}", variable) for number, variable in enumerate(names)], Form()
