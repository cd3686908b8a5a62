"""Readers of the forms in which published catalogues name their networks, and of the latencies beside them.

How to bring a catalogue of your own, which is what these are examples of:

1. Add a module named after it, with a frozen dataclass that holds what one text (or row, or key) says. Its
   `parse(text)` checks everything and raises `ArchitectureTextError` with the text and what is wrong; a number outside
   of what the catalogue knows is wrong, not rounded. Cite where the form is described.
2. Give it `to_network()`. Put operators one by one, batch norm folded into the bias of the convolution before it,
   activations as operators of their own, maps as (1, height, width, channels). `_layers.Layers` has the usual layers.
   What the project has no operator for becomes `Opaque`: it is named and out of domain, and never counts as nothing.
3. Hold it to a figure that was published: MACs or parameters of a known network are exact when the reader is right.
4. Where there are latencies, yield `LabelledNetwork`s; `read_labels` reads them from CSV by column and unit. Then
   `labelled_table(rows, device=…, runtime=…)` is a latency table, and `NetworkPredictor().fit(table)` learns from it,
   be the rows blocks, whole networks or both; `profiler.table` joins it with rows of one's own.
"""

from profiler.catalogues.fbnet import FbnetChoices
from profiler.catalogues.labels import Label, LabelledNetwork, labelled_table, read_labels
from profiler.catalogues.mbconv import MbconvBlock
from profiler.catalogues.nasbench201 import NasBench201Cell
from profiler.catalogues.once_for_all import OnceForAllBlock, read_once_for_all
from profiler.catalogues.operator_lists import OperatorList, OperatorRow

__all__ = [
    "FbnetChoices",
    "Label",
    "LabelledNetwork",
    "MbconvBlock",
    "NasBench201Cell",
    "OnceForAllBlock",
    "OperatorList",
    "OperatorRow",
    "labelled_table",
    "read_labels",
    "read_once_for_all",
]
