"""Results as numbers: when each was had and what it says, of many metrics at once.

A weight is time × 8 + gravity: in order of time, and within one time by gravity. Strings are grouped once, by
the lake; what follows from the order of the results is found in arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
import pyarrow
import pyarrow.compute

from opengoc.monitoring.timeline import GRAVITY

Numbers = numpy.ndarray[Any, numpy.dtype[Any]]

#: Status of each gravity.
BY_GRAVITY = {gravity: status for status, gravity in GRAVITY.items()}


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """The results of some metrics, metric by metric, in order of time and then of gravity."""

    #: Place of the metric among all, of each result.
    metric: Numbers
    #: Time of each result, in the unit of the weights.
    at: Numbers
    gravity: Numbers
    #: How many results each metric has.
    lengths: Numbers


def weighed(lists: pyarrow.ChunkedArray) -> Weighed:
    """The results behind lists of weights, one list a metric, each in any order."""
    joined = lists.combine_chunks()
    lengths = pyarrow.compute.list_value_length(joined).to_numpy()
    weights = pyarrow.compute.list_flatten(joined).to_numpy()
    metric = numpy.repeat(numpy.arange(len(lengths)), lengths)
    # The shortest of numbers, so that they lie apart for each metric: all are sorted at once, and each metric
    # stays where it is.
    lowest = int(weights.min()) if len(weights) else 0
    apart = metric * (int(weights.max()) - lowest + 1 if len(weights) else 1)
    weights = numpy.sort(apart + (weights - lowest)) - apart + lowest
    return Weighed(metric=metric, at=weights // 8, gravity=weights % 8, lengths=lengths)
