"""Where a fit stands between two steps, as plain data; the numbers of its arrays are beside it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, lt=2**53)]


class Standing(BaseModel):
    """Where a fit stands.

    Attributes
    ----------
    body
        The keys of its body that decide what it computes, with their values as text.
    seed, data
        The seed of its random numbers, and a checksum of its data.
    steps, taken
        The steps in an epoch, and those taken so far.
    seconds
        Its time so far.
    ends
        The steps taken at the end of each finished epoch.
    values
        The metrics of each of these.
    best
        The value that is compared, and its epoch; None before the first epoch is over.
    lowering
        The state of what lowers the learning rate, if the fit has such a schedule.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")  # a metric may be infinite

    body: dict[str, str]
    seed: Count
    data: str
    steps: Annotated[int, Field(ge=1, lt=2**53)]
    taken: Count
    seconds: float
    ends: list[Count]
    values: list[dict[str, float]]
    best: list[Any] | None = Field(default=None, min_length=2, max_length=2)
    lowering: dict[str, float] | None = None
