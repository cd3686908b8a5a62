"""The whole way from a source graph to a Network: simplify it, then lower its nodes by the rules of their layers."""

from __future__ import annotations

from profiler.formats._source_graph import SourceGraph
from profiler.formats._source_lowering import Lowering
from profiler.formats._source_rewrites import simplify
from profiler.formats._source_rules import RULES
from profiler.network import Network


def lower(graph: SourceGraph) -> Network:
    """Return the Network that a source graph describes; the graph is simplified in place.

    Raises:
        ModelFileError: A tensor is read before it is written.
        NetworkError: Shapes or weights do not fit together.
    """
    simplify(graph)
    lowering = Lowering(graph)
    lowering.start()
    for node in graph.nodes:
        lowering.lower(node, RULES.get(type(node.layer)))
    return lowering.finish()
