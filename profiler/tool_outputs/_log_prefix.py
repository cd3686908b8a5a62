"""Owns what loggers, terminals and people put before a tool's own line."""

from __future__ import annotations

import re

_STAMP = r"[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3,9}"
_CLOCK = r"[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,9}"
_PREFIXES = tuple(
    re.compile(pattern)
    for pattern in (
        # A quotation in a mail or an issue.
        r">[> ]*",
        # logcat -v threadtime, and with the year: "05-31 10:38:42.585 22206 22206 I tflite  : "
        rf"(?:[0-9]{{4}}-)?{_STAMP} +(?:\S{{1,20}} +)?[0-9]+ +[0-9]+ [VDIWEFS] [^:]{{0,100}}: ?",
        # logcat -v time and -v brief: "05-31 10:38:42.585 I/tflite  ( 2206): "
        rf"(?:(?:[0-9]{{4}}-)?{_STAMP} +)?[VDIWEF]/[^:(]{{0,100}}\( *[0-9]+\): ?",
        # TensorFlow's own: "2017-11-27 08:56:35.518009: I tensorflow/….cc:324] "
        rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} {_CLOCK}: [IWEF] [^\]]{{0,300}}\] ?",
        # The same of glog, as in "I1127 08:56:35.518009  3921 benchmark.cc:12] "
        rf"[IWEF][0-9]{{4}}(?:[0-9]{{4}})? {_CLOCK} +[0-9]+ [^\]]{{0,300}}\] ?",
        # Apple's log, as in "2020-10-28 14:41:14.151361+0800 TFLiteBenchmark[3921:935759] "
        rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} {_CLOCK}[+-][0-9]{{4}} [^\[]{{0,100}}\[[0-9]+:[0-9]+\] ?",
        r"(?:INFO|WARN|WARNING|ERROR|VERBOSE|DEBUG|FATAL): ?",
    )
)
# A quoted logcat line of a logger that writes its own level has three.
_MOST = 5


def without_prefix(text: str) -> str:
    r"""Return a line's own text, without surrounding space.

    Example:
        >>> without_prefix("> \t05-31 10:38:42.585 22206 22206 I tflite  : INFO: count=1 curr=7")
        'count=1 curr=7'
    """
    text = text.strip()
    for _ in range(_MOST):
        found = next((match for pattern in _PREFIXES if (match := pattern.match(text))), None)
        if found is None:
            break
        text = text[found.end() :].strip()
    return text
