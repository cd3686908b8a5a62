"""Owns front.json: what a search found, as it was predicted, and all that measuring it later needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, FiniteFloat

from pocketnas._json_file import JsonFile, Part
from pocketnas.result import Candidate, Generation, Target
from search.spaces.settings import SpaceSettings

if TYPE_CHECKING:
    from search.images import ImageData
    from search.space import SearchSpace

PREDICTOR_NAME = "predictor.safetensors"


def space_for(settings: SpaceSettings, data: ImageData) -> SearchSpace[Any]:
    """Return the space of some settings for networks that classify images.

    Raises:
        SearchError: A setting is out of range for them.
    """
    return settings.space_for(data)


class SearchedDevice(Part):
    """A device that a search predicted for.

    Attributes:
        device: Its name.
        runtime: Runtime on it.
        threads: Threads of the runtime.
        predictor: File name of what the search went by.
    """

    device: str
    runtime: str
    threads: int
    predictor: str = PREDICTOR_NAME


class SearchedTarget(Target):
    """What one network was searched for, and what may be it.

    Attributes:
        candidates: Names, in the order in which they should be tried.
    """

    candidates: tuple[str, ...]


class ImageChoice(Part):
    """Which images, and how many of what size.

    Attributes:
        name: Name or path, as load_images takes them.
        resolution: Height and width in pixels; None for what they have.
        limit: Most images; None for all.
    """

    name: str
    resolution: int | None = None
    limit: int | None = None

    def load(self, seed: int) -> ImageData:
        """Return the images, split by a seed.

        Raises:
            DataError: There are none, or they are not fit to train on.
        """
        from search.images import load_images

        return load_images(self.name, seed=seed, resolution=self.resolution, limit=self.limit)


class FoundFront(JsonFile):
    """All of front.json.  The predictors that the search went by lie beside it.

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
        resolution: Height and width that the images were resized to; None for what they have.
        limit_images: Most images that were used; None for all.
        algorithm: What searched.
        devices: All devices that were searched for; empty in files from before there were several.
        targets: What networks were searched for; empty likewise.
        known: Keys of the networks that the search itself measured: predictions of these prove nothing.
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
    resolution: int | None = None
    limit_images: int | None = None
    algorithm: str = "cars"
    devices: tuple[SearchedDevice, ...] = ()
    targets: tuple[SearchedTarget, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def images(self) -> ImageChoice:
        """The images."""
        return ImageChoice(name=self.data, resolution=self.resolution, limit=self.limit_images)

    @property
    def searched_on(self) -> tuple[SearchedDevice, ...]:
        """All devices that were searched for, at least one."""
        return self.devices or (SearchedDevice(device=self.device, runtime=self.runtime, threads=self.threads),)

    @property
    def wanted(self) -> tuple[SearchedTarget, ...]:
        """What networks were searched for, at least one target."""
        only = SearchedTarget(
            devices=(self.device,),
            budget_ms=self.budget_ms,
            budget_reason=self.budget_reason,
            candidates=tuple(candidate.name for candidate in self.front),
        )
        return self.targets or (only,)
