"""Readers of the short forms in which published catalogues of networks name their architectures.

One module a form: the text, checked, as a value that knows what it stands for. They are examples of the import
seam: whoever brings a catalogue of their own adds a reader here, and all else works from the value or its Network.
"""

from profiler.catalogues.fbnet import FbnetChoices
from profiler.catalogues.mbconv import MbconvBlock
from profiler.catalogues.nasbench201 import NasBench201Cell

__all__ = ["FbnetChoices", "MbconvBlock", "NasBench201Cell"]
