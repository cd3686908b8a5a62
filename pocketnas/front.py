"""Owns front.json: what a search found, as it was predicted, and all that measuring it later needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, FiniteFloat

from pocketnas._json_file import JsonFile, Part
from pocketnas.result import Candidate, Generation

if TYPE_CHECKING:
    from search.images import ImageData
    from search.spaces import CarsSpace

PREDICTOR_NAME = "predictor.safetensors"


class SpaceSettings(Part):
    """A search space without the images that give it its input and its classes.

    Attributes:
        kind: Which space.
        cells: Cells in a row.
        channels: Channels of a node before the first reduction.
        nodes: Nodes of a cell.
    """

    kind: Literal["cars"] = "cars"
    cells: int = 5
    channels: int = 8
    nodes: int = 4

    def space_for(self, data: ImageData) -> CarsSpace:
        """Return the space for networks that classify these images.

        Raises:
            SearchError: A setting is out of range for them.
        """
        from search.spaces import CarsParams, CarsSpace

        return CarsSpace(CarsParams(data.image_shape, data.classes, self.cells, self.channels, self.nodes))


class FoundFront(JsonFile):
    """All of front.json.  The predictor that the search went by lies beside it.

    Attributes:
        created_at: When the search ended, ISO 8601 in UTC.
        device: Device that the predictions are about.
        runtime: Runtime on it.
        threads: Threads of the runtime.
        dtype: Numeric type of the models; only float32 can be exported in both formats.
        budget_ms: The latency budget.
        budget_reason: Who chose the budget, and how.
        seed: Fixes every random choice, also the split of the images.
        data: Name or path of the images.
        space: The search space.
        front: Candidates in the order in which they should be tried, the front of the search before what makes up
            the number; `on_front` tells which is which.
        generations: Progress of the search.
        durations_s: How long each step so far took, by its name.
    """

    file_name: ClassVar[str] = "front.json"
    made_by: ClassVar[str] = "pocketnas search"

    created_at: str
    device: str
    runtime: str
    threads: int
    dtype: Literal["float32"] = "float32"
    budget_ms: FiniteFloat = Field(gt=0)
    budget_reason: str
    seed: int
    data: str
    space: SpaceSettings
    front: tuple[Candidate, ...]
    generations: tuple[Generation, ...]
    durations_s: dict[str, float]
