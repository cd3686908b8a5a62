"""The ncnn side of a model file: layers, blobs, weights, and in which layout each tensor is to be had.

ncnn holds one image as channels, rows and columns, without an axis for a batch, and has at most four axes.  A tensor
with a batch of 1 loses that axis; one of rank 4 can exist channels first, too, and is permuted when a layer asks for
what is missing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import permutations
from urllib.parse import quote

from profiler.errors import NetworkError
from profiler.network import Network, Operator

_MAGIC = 7767517  # begins every .param file since 2017
_MOST_AXES = 4
_MOST_NAME_CHARS = 200  # ncnn reads names into 256 bytes; this leaves room for our endings
_SAFE = "/:._-"
_ARRAY = -23300  # key of an array: this minus the parameter's number
_SIZE_KEYS = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}
"""Parameters of Input and Reshape with the sizes of a blob, outermost first, by its number of axes."""

Parameter = int | float | Sequence[int] | Sequence[float]
Sizes = tuple[int, ...]


class Layout(Enum):
    """Order of a tensor's axes: the network's own without a batch of 1, or channels first."""

    NETWORK = "HWC"
    CHANNELS_FIRST = "CHW"


_ENDINGS = {Layout.NETWORK: "%hwc", Layout.CHANNELS_FIRST: "%chw"}


def encoded_name(name: str) -> str:
    """Return a name as one word of ASCII that no other name becomes; letters after "%" are never small in it.

    Example:
        >>> encoded_name("conv 1")
        'conv%201'
    """
    word = quote(name, safe=_SAFE) or "%"
    if len(word) <= _MOST_NAME_CHARS:
        return word
    return f"{word[: _MOST_NAME_CHARS - 34]}%-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


@dataclass(frozen=True)
class _Layer:
    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: str

    def words(self) -> list[str]:
        """Return its line of a .param file, in words."""
        line = [self.kind, self.name, str(len(self.inputs)), str(len(self.outputs)), *self.inputs, *self.outputs]
        return [*line, self.parameters] if self.parameters else line


class NcnnGraph:
    """An ncnn model under construction for a network.

    Args:
        network: The network whose tensors the layers read and write.
        outside: Layout of the model's inputs and outputs of rank 4.

    Raises:
        NetworkError: An input has more axes than ncnn has.
    """

    def __init__(self, network: Network, outside: Layout) -> None:
        self.network = network
        self._outside = outside
        self._ends = {*network.outputs, *(spec.name for spec in network.inputs)}
        self._layers: list[_Layer] = []
        self._values: dict[tuple[str, Layout], str] = {}
        self._temporaries = 0
        for spec in network.inputs:
            layout = self.possible(spec.name, outside)
            self.layer("Input", (), (self.write(spec.name, layout),), _sizes(self.sizes(spec.name, layout)))

    # Layouts

    def shape(self, tensor: str) -> Sizes:
        """Return a tensor's shape in the network."""
        return self.network.tensors[tensor].shape

    def has_maps(self, tensor: str) -> bool:
        """Whether a tensor can exist channels first: one image of rank 4."""
        shape = self.shape(tensor)
        return len(shape) == 4 and shape[0] == 1

    def possible(self, tensor: str, layout: Layout) -> Layout:
        """Return a layout that a tensor can have, the given one where it is possible."""
        return layout if self.has_maps(tensor) else Layout.NETWORK

    def sizes(self, tensor: str, layout: Layout) -> Sizes:
        """Return the sizes of the blob that holds a tensor, outermost first.

        Raises:
            NetworkError: It has more axes than ncnn has.
        """
        shape = self.shape(tensor)
        if layout is Layout.CHANNELS_FIRST:
            return shape[3], shape[1], shape[2]
        sizes = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
        if len(sizes) > _MOST_AXES:
            raise NetworkError(f"tensor {tensor!r} has the shape {shape}, and a blob of ncnn at most four axes")
        return sizes

    def dropped_axes(self, tensor: str) -> int:
        """Return how many leading axes a tensor's blob in the network's layout lacks: 1 for a batch of 1, else 0."""
        return len(self.shape(tensor)) - len(self.sizes(tensor, Layout.NETWORK))

    def layout_at_hand(self, tensors: Sequence[str]) -> Layout:
        """Return the layout in which a layer that does not mind should read tensors: channels first if one is so."""
        if not all(self.has_maps(tensor) for tensor in tensors):
            return Layout.NETWORK
        if any((tensor, Layout.CHANNELS_FIRST) in self._values for tensor in tensors):
            return Layout.CHANNELS_FIRST
        return Layout.NETWORK

    def read_maps(self, operator: Operator, tensor: str | None = None) -> str:
        """Return the blob that holds an operator's first input, or another tensor, channels first.

        Raises:
            NetworkError: It holds several images.
        """
        tensor = operator.inputs[0] if tensor is None else tensor
        if not self.has_maps(tensor):
            problem = (
                f"reads {tensor!r} of shape {self.shape(tensor)}; in ncnn a {operator.kind} takes one image at a time"
            )
            raise NetworkError(problem, operator=operator.name)
        return self.read(tensor, Layout.CHANNELS_FIRST)

    def read(self, tensor: str, layout: Layout) -> str:
        """Return the blob that holds a tensor in a layout that it can have; what is missing is made."""
        if (tensor, layout) not in self._values:
            other = Layout.NETWORK if layout is Layout.CHANNELS_FIRST else Layout.CHANNELS_FIRST
            source = self._values[tensor, other]
            target = self.write(tensor, layout)
            if self._same_order(tensor):
                self.reshape(source, target, self.sizes(tensor, layout))
            else:
                self.permute(source, target, (1, 2, 0) if layout is Layout.NETWORK else (2, 0, 1))
        return self._values[tensor, layout]

    def read_flat(self, tensor: str) -> str:
        """Return a blob with a tensor's elements in the network's order, whatever its sizes."""
        if (tensor, Layout.NETWORK) not in self._values and self._same_order(tensor):
            return self._values[tensor, Layout.CHANNELS_FIRST]
        return self.read(tensor, Layout.NETWORK)

    def _same_order(self, tensor: str) -> bool:
        """Whether both layouts of a tensor hold its elements in one order: one channel, or one cell."""
        _, height, width, channels = self.shape(tensor)
        return channels == 1 or height * width == 1

    def read_all_axes(self, tensor: str) -> str:
        """Return a blob with every axis of a tensor, a batch of 1 included.

        Raises:
            NetworkError: It has more axes than ncnn has.
        """
        blob = self.read(tensor, Layout.NETWORK)
        if not self.dropped_axes(tensor):
            return blob
        return self.reshape(blob, self.temporary(), self.shape(tensor))

    def write(self, tensor: str, layout: Layout) -> str:
        """Return the name of the new blob that will hold a tensor in a layout that it can have."""
        self.sizes(tensor, layout)
        if tensor in self._ends:
            is_plain = layout is self.possible(tensor, self._outside)
        else:
            is_plain = all((tensor, other) not in self._values for other in Layout)
        self._values[tensor, layout] = encoded_name(tensor) + ("" if is_plain else _ENDINGS[layout])
        return self._values[tensor, layout]

    def temporary(self) -> str:
        """Return the name of a new blob that holds no tensor of the network."""
        self._temporaries += 1
        return f"%t{self._temporaries}"

    # Layers

    def layer(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        parameters: Mapping[int, Parameter] | None = None,
    ) -> None:
        """Add a layer; it is named after its first output.

        Args:
            kind: ncnn's name of its type, one of LAYER_TYPES.
            inputs: Blobs that it reads.
            outputs: Blobs that it writes.
            parameters: Its parameters by number.
        """
        words = [_parameter(key, value) for key, value in (parameters or {}).items()]
        self._layers.append(_Layer(kind, outputs[0], tuple(inputs), tuple(outputs), " ".join(words)))

    def reshape(self, source: str, target: str, sizes: Sizes) -> str:
        """Add a Reshape to sizes, outermost first, and return its output."""
        self.layer("Reshape", (source,), (target,), _sizes(sizes))
        return target

    def permute(self, source: str, target: str, order: Sequence[int]) -> str:
        """Add a Permute and return its output; `order` has the source's axis for each of the target's, as numpy has."""
        kind = list(permutations(range(len(order)))).index(tuple(order))
        self.layer("Permute", (source,), (target,), {0: kind})
        return target

    # Result

    def to_text(self) -> str:
        """Return the .param file; blobs that are read several times are split, which ncnn asks for."""
        inputs = {spec.name for spec in self.network.inputs}
        kept = []
        for tensor in dict.fromkeys(self.network.outputs):
            blob = self.read(tensor, self.possible(tensor, self._outside))
            if tensor in inputs:  # ncnn gives no input back once a layer took it
                self.layer("Split", (blob,), (self.output_blob(tensor),))
            kept.append(self.output_blob(tensor))
        layers = _with_splits(self._layers, kept)
        lines = [str(_MAGIC), f"{len(layers)} {sum(len(layer.outputs) for layer in layers)}"]
        lines += [" ".join(layer.words()) for layer in layers]
        return "\n".join(lines) + "\n"

    def output_blob(self, tensor: str) -> str:
        """Return the blob of an output of the model."""
        is_input = any(spec.name == tensor for spec in self.network.inputs)
        return encoded_name(tensor) + ("%out" if is_input else "")

    def outside_sizes(self, tensor: str) -> Sizes:
        """Return the sizes of the blob of a model's input or output, outermost first."""
        return self.sizes(tensor, self.possible(tensor, self._outside))


def _sizes(sizes: Sizes) -> dict[int, Parameter]:
    return dict(sorted(zip(_SIZE_KEYS[len(sizes)], sizes, strict=True)))


def _parameter(key: int, value: Parameter) -> str:
    if isinstance(value, int):
        return f"{key}={value}"
    if isinstance(value, float):
        return f"{key}={value:.8e}"
    items = [f"{item:.8e}" if isinstance(item, float) else str(item) for item in value]
    return f"{_ARRAY - key}={len(items)},{','.join(items)}"


def _with_splits(layers: Sequence[_Layer], kept: Sequence[str]) -> list[_Layer]:
    """Return layers among which each blob has one reader; whoever takes a model's output reads it, too."""
    readers = Counter(blob for layer in layers for blob in layer.inputs) + Counter(kept)
    copies: dict[str, list[str]] = {}
    result = []
    for layer in layers:
        inputs = tuple(copies[blob].pop() if blob in copies else blob for blob in layer.inputs)
        outputs, splits = list(layer.outputs), []
        for index, blob in enumerate(layer.outputs):
            if readers[blob] > 1:
                names = [f"{blob}%{number}" for number in range(readers[blob])]
                if blob in kept:  # its name goes to the copy that is taken from the model
                    outputs[index], names[-1] = f"{blob}%all", blob
                    copies[blob] = names[-2::-1]
                else:
                    copies[blob] = names[::-1]
                splits.append(_Layer("Split", f"{blob}%split", (outputs[index],), tuple(names), ""))
        result += [_Layer(layer.kind, layer.name, inputs, tuple(outputs), layer.parameters), *splits]
    return result
