"""Genotypes of the MobileNetV3 space as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.errors import GenotypeError
from search.spaces.mobilenetv3._genotype import LAYER_FIELDS, Layer, MobileNetV3Genotype, Stage
from search.spaces.mobilenetv3._params import MobileNetV3Params


def encode(genotype: MobileNetV3Genotype) -> dict[str, object]:
    """Return {"resolution": ..., "stages": [[[kernel, expansion, excite], ...], ...]}."""
    stages = [[[layer.kernel, layer.expansion, layer.excite] for layer in stage] for stage in genotype.stages]
    return {"resolution": genotype.resolution, "stages": stages}


def decode(params: MobileNetV3Params, encoded: object) -> MobileNetV3Genotype:
    """Return the genotype that a JSON value encodes.

    Args:
        params: Settings of the space that it must belong to.
        encoded: What `encode` made, after a trip through JSON.

    Raises:
        GenotypeError: The value has another form, or makes a choice that the space does not have.
    """
    if not isinstance(encoded, Mapping) or encoded.keys() != {"resolution", "stages"}:
        raise GenotypeError("must be an object with the keys 'resolution' and 'stages' and no other")
    resolution, stages = encoded["resolution"], encoded["stages"]
    if type(resolution) is not int or resolution not in params.heights:
        raise GenotypeError(f"must be {_one_of(params.heights)}", place="resolution")
    if not isinstance(stages, list) or len(stages) != params.stages:
        raise GenotypeError(f"must be a list of {params.stages} stages", place="stages")
    decoded = (_decode_stage(params, stage, layers) for stage, layers in enumerate(stages))
    return MobileNetV3Genotype(resolution, tuple(decoded))


def _decode_stage(params: MobileNetV3Params, stage: int, encoded: object) -> Stage:
    place = f"stages[{stage}]"
    if not isinstance(encoded, list) or len(encoded) not in params.depths:
        raise GenotypeError(f"must be a list of layers, as many as {_one_of(params.depths)}", place=place)
    return tuple(_decode_layer(params, stage, layer, f"{place}[{index}]") for index, layer in enumerate(encoded))


def _decode_layer(params: MobileNetV3Params, stage: int, encoded: object, place: str) -> Layer:
    if not isinstance(encoded, list) or [type(value) for value in encoded] != [int, int, bool]:
        raise GenotypeError("must be [kernel, expansion, excite], two whole numbers and true or false", place=place)
    for field, value in zip(LAYER_FIELDS, encoded, strict=True):
        options = params.options(field, stage)
        if value not in options:
            raise GenotypeError(f"{field} must be {_one_of(options)}", place=place)
    return Layer(*encoded)


def _one_of(options: Sequence[int]) -> str:
    return f"one of {', '.join(map(str, options))}" if len(options) > 1 else str(options[0])
