"""Check whether a planned model fits into the available memory before anything is created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2s_magic.errors import BuildError

if TYPE_CHECKING:
    from s2s_magic.spec import Spec


def check_memory(spec: Spec) -> None:
    """Refuse a plan whose weights do not fit into the memory that this process may still allocate.

    While a weight is created, up to four copies of its initial values exist; the largest weight needs that much.
    """
    from s2s_magic.memory import memory_left
    from s2s_magic.spec.sizes import BYTES, params_by_owner

    sizes = {owner: BYTES * params for owner, params in params_by_owner(spec).items()}
    weights = sum(sizes.values())
    left = memory_left()
    if left is None or weights + 3 * max(sizes.values()) <= left[0]:
        return
    owners = ", ".join(f"{owner} {_gigabytes(size)}" for owner, size in sizes.items())
    raise BuildError(
        f"the model does not fit into memory: its weights take {_gigabytes(weights)} ({owners}), and the largest "
        f"is there up to four times while it is made; {left[1]} leaves {_gigabytes(left[0])}. Training with Adam takes "
        "three to four times the weights: gradients and two averages of them"
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that Python or TensorFlow ran out of memory."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
