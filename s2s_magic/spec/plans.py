"""A spec as frozen plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Literal, TypeVar

from pydantic import Field

from s2s_magic.spec.parts import Attention, Dropout, Feeding, Frozen, Recurrent, Tokenization
from s2s_magic.spec.reading import Faults, Place

T = TypeVar("T")

Names = str | tuple[str, ...] | Mapping[str, str]
"""One variable; several, in the order of the inputs or outputs they feed; or several by the name of these."""

Counted = str | tuple[str, ...]
"""A notebook variable or a file whose contents determine a vocabulary, or several."""

Tokens = Tokenization | Literal["none"]
"""What an id represents; ``none`` if that is unknown."""

SPECIAL_IDS = {"padding": 0, "start": 1, "end": 2}
SMALLEST_COUNTED = 5  # padding, start, end, unknown, and one token


class Sides(Frozen, Generic[T]):
    """A setting of source and target; ``one`` if it was given once for both."""

    source: T
    target: T
    one: bool


class Placed(Frozen):
    """A record that knows the place of its values in the cell.

    Attributes
    ----------
    given
        The keys that were written.
    places
        Line and column of each value, by key; ``vocab.source`` for a side.
    """

    given: frozenset[str] = frozenset()
    places: Mapping[str, Place] = Field(default={}, repr=False, exclude=True)

    def place_of(self, key: str) -> Place:
        """Return line and column of a key's value in the cell, for later errors; (0, 0) if it was not given."""
        return self.places.get(key) or self.places.get(key.partition(".")[0]) or (0, 0)


class Spec(Placed):
    """A plan for an encoder-decoder model.

    Attributes
    ----------
    vocab
        Sizes, or names of notebook variables to count them from; see `names_needed`.
    embed
        Embedding sizes.
    init
        By ``source`` and ``target``, the file of word vectors that a side's embedding begins with.
    share
        Whether to share the embedding, if given; see `shared`.
    encoder, decoder
        The recurrent parts.
    bridge
        How encoder states become decoder states: as they are, through Dense layers, or as zeros where none fits.
    attention
        How each step of the decoder looks back at the encoder's outputs, by each mechanism; empty if it does not.
    input_feeding
        Whether each step also reads what the step before attended to (Luong et al., 2015).
    monotonic
        Whether attention moves forward only (Raffel et al., 2017, https://arxiv.org/abs/1704.00784).
    feeding
        At what rate the decoder reads ids drawn from its own scores while it is trained; None for the true ids alone.
    residual
        Whether each layer from the second on adds what it reads to what it makes (He et al., 2016,
        https://arxiv.org/abs/1512.03385; in encoder-decoders: Wu et al., 2016, https://arxiv.org/abs/1609.08144).
    layer_norm
        Whether the outputs of each layer are normalized (Ba et al., 2016, https://arxiv.org/abs/1607.06450).
    dropout
        Rates for embeddings and outputs; the layers have rates of their own.
    tie_output
        Whether the output layer uses the embedding's table (Press and Wolf, 2017, https://arxiv.org/abs/1608.05859).
    label_smoothing
        The part of each target's probability that is spread over all ids (Szegedy et al., 2016,
        https://arxiv.org/abs/1512.00567).
    precision
        The policy that the layers are made with; None for the one that is set for all layers.
    freeze
        The parts that are not trained.
    tokens
        What an id represents, for both sides or each: unknown ("none"), a character, a word or a subword.
    start, end, padding
        Target ids that start, end and pad sequences. With tokens they are 1, 2 and 0.
    max_length
        Longest sequence to decode.
    code
        What the decoder is written with; None for what suits the installation.
    bad_lines
        What is done with lines of files that cannot be read; None, like ``stop``, makes them faults.
    """

    vocab: Sides[int | Counted]
    embed: Sides[int]
    encoder: Recurrent
    decoder: Recurrent
    init: Mapping[str, str] = {}
    share: bool | None = None
    bridge: Literal["none", "dense", "zero"] = "none"
    attention: tuple[Attention, ...] = ()
    input_feeding: bool = False
    monotonic: bool = False
    feeding: Feeding | None = None
    residual: bool = False
    layer_norm: bool = False
    dropout: Dropout | None = None
    tie_output: bool = False
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    precision: Literal["float32", "mixed_bfloat16"] | None = None
    freeze: tuple[str, ...] = ()
    tokens: Tokens | Sides[Tokens] = "none"
    start: int = 0
    end: int | None = None
    padding: int | None = None
    max_length: int | None = None
    code: Literal["tfa", "keras"] | None = None
    bad_lines: Literal["stop", "skip"] | None = None

    def tokens_of(self, side: str) -> Tokens:
        """Return what an id of a side (``source`` or ``target``) represents."""
        if not isinstance(self.tokens, Sides):
            return self.tokens
        return self.tokens.source if side == "source" else self.tokens.target

    def unit_of(self, side: str) -> str:
        """Return the unit of a side's tokens: ``none``, ``char``, ``word`` or ``subword``."""
        tokens = self.tokens_of(side)
        return "none" if tokens == "none" else tokens.unit

    @property
    def reads_text(self) -> bool:
        """Whether the ids of a side represent tokens of texts."""
        return {self.tokens_of("source"), self.tokens_of("target")} != {"none"}

    @property
    def tokens_text(self) -> str:
        """The value of ``tokens`` as written in a spec."""
        if not isinstance(self.tokens, Sides):
            return str(self.tokens)
        return f"{{source: {self.tokens.source}, target: {self.tokens.target}}}"

    def units_of(self, attention: Attention) -> int:
        """Return the depth in which the decoder's outputs and the encoder's are compared."""
        return attention.units or self.decoder.units

    @property
    def of_keras_alone(self) -> tuple[str, ...]:
        """The keys that were written and that a decoder of TFA's API has no place for."""
        keys = ("attention", "residual", "layer_norm", "dropout", "tie_output")
        placed = {"attention"} if self.input_feeding else set()
        if self.input_feeding and self.feeding is None:  # what a cell with attention gives can be scored outside of it
            placed |= {"dropout", "tie_output"}
        found = [key for key in keys if getattr(self, key) and key not in placed]
        return (*found, *(["precision"] if self.mixes_precision else []))

    @property
    def mixes_precision(self) -> bool:
        """Whether the layers compute in another type than that of their weights."""
        return self.precision == "mixed_bfloat16"

    @property
    def runs_by_steps(self) -> bool:
        """Whether what a step reads depends on the step before: as input feeding and scheduled sampling have it."""
        return self.input_feeding or self.feeding is not None

    @property
    def parts(self) -> frozenset[str]:
        """The parts that have weights of their own."""
        there = {
            "attention": bool(self.attention),
            "bridge": self.bridge == "dense",
            "output": not self.tie_output,
        }
        return frozenset({"embeddings", "encoder", "decoder", *(part for part, has in there.items() if has)})

    def read_outputs(self, layer: int) -> bool:
        """Return whether anything reads the outputs of one of the encoder's layers, and not its last state alone."""
        return layer < self.encoder.layers or bool(self.attention)

    @property
    def shared(self) -> bool:
        """Whether one Embedding serves encoder and decoder."""
        return self.vocab.one and self.embed.one and self.share is not False

    def names_needed(self) -> dict[str, Counted]:
        """Return the notebook variables whose contents determine a vocabulary size, by ``source`` and ``target``."""
        sides = {"source": self.vocab.source, "target": self.vocab.target}
        return {side: size for side, size in sides.items() if not isinstance(size, int) and self.file_of(side) is None}

    @property
    def sizes(self) -> dict[str, int]:
        """The vocabulary sizes by side, once they are known."""
        sides = {"source": self.vocab.source, "target": self.vocab.target}
        return {side: size for side, size in sides.items() if isinstance(size, int)}

    def file_of(self, side: str) -> str | None:
        """Return the file with a side's trained subwords, if there is one."""
        tokens = self.tokens_of(side)
        return None if tokens == "none" else tokens.file

    def with_vocab(self, *, source: int | None = None, target: int | None = None) -> Spec:
        """Return the same plan with vocabulary sizes filled in.

        Parameters
        ----------
        source, target
            Sizes counted from what `names_needed` returns, or those of files; a number in the spec takes precedence.

        Raises
        ------
        SpecError
            When an id such as ``end`` is outside the vocabulary.
        ValueError
            When a size is still missing, or one vocabulary has two sizes.
        """
        source, target = self.sizes.get("source", source), self.sizes.get("target", target)
        if source is None or target is None or (self.vocab.one and source != target):
            raise ValueError(f"sizes {source} and {target} do not complete the vocabulary {self.vocab}")
        vocab = Sides[int | Counted](source=source, target=target, one=self.vocab.one)
        spec = self.model_copy(update={"vocab": vocab})
        faults = Faults()
        check_ids(spec, faults)
        faults.raise_if_any()
        return spec


def check_ids(spec: Spec, faults: Faults) -> None:
    """Add faults for special ids outside a vocabulary or equal to each other; sizes still to be counted are skipped."""
    for key in ("start", "end", "padding"):
        number = getattr(spec, key)
        for side in ("source", "target") if key == "padding" else ("target",):
            size = getattr(spec.vocab, side)
            if number is not None and isinstance(size, int) and number >= size:
                place = spec.place_of(key) if key in spec.given else spec.place_of("vocab." + side)
                faults.add(place, f"{key} is {number}, outside the {side} vocabulary of ids 0 to {size - 1:,}")
                break
    if spec.reads_text:
        _check_token_ids(spec, faults)
    elif spec.padding is not None and spec.padding in (spec.start, spec.end):
        role = "start" if spec.start == spec.padding else "end"
        how = "" if role in spec.given else f" ({role} is {getattr(spec, role)} unless given)"
        faults.add(
            spec.place_of("padding"),
            f"padding and {role} are both {spec.padding}{how}: padding is masked, so it cannot {role} a sequence; "
            f"give '{role}' an id of its own",
        )
    elif spec.start == spec.end:
        how = "" if "start" in spec.given else f" (start is {spec.start} unless given)"
        faults.add(
            spec.place_of("end"),
            f"start and end are both {spec.end}{how}: a decoder that has begun would be at its end; "
            "give each an id of its own",
        )


def _check_token_ids(spec: Spec, faults: Faults) -> None:
    if spec.vocab.one and spec.tokens_of("source") != spec.tokens_of("target"):
        faults.add(
            spec.place_of("tokens"),
            f"one vocabulary cannot hold both sides' tokens, {spec.tokens_text}: give 'vocab: {{source: ..., "
            "target: ...}'",
        )
    for key, number in SPECIAL_IDS.items():
        if getattr(spec, key) != number:
            faults.add(spec.place_of(key), f"with tokens: {spec.tokens_text}, {key} is {number}: leave '{key}' out")
    for side in ("source", "target"):
        size, tokens = getattr(spec.vocab, side), spec.tokens_of(side)
        if not isinstance(size, int) or tokens == "none":
            continue
        if size < max(SMALLEST_COUNTED, tokens.size or 0):
            why = f"has {tokens.size:,} ids" if tokens.size else "takes ids 0 to 3 for padding, start, end and unknown"
            faults.add(spec.place_of("vocab." + side), f"{size} is too small: tokens: {tokens} {why}")
            break
