"""A mean and how sure it is: Student's confidence interval over independent runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""The 97.5 % quantile of Student's t for 1 to 30 degrees of freedom."""

_NORMAL = 1.96


@frozen
class Estimate:
    """The mean of independent runs, and half the width of its 95 % confidence interval: nan for a single run."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Return that of at least one value."""
        count = len(values)
        mean = math.fsum(values) / count
        if count < 2:
            return cls(mean, math.nan)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
        quantile = _T[count - 2] if count - 2 < len(_T) else _NORMAL
        return cls(mean, quantile * deviation / math.sqrt(count))
