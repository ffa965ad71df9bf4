"""Right answers and planted mistakes for chapter 05; these hang in its museum."""

from minids.check.bugs.ch05.temperature import weights, weights_once
from minids.check.bugs.ch05.yarn import yarn_inverted

__all__ = ["weights", "weights_once", "yarn_inverted"]
