"""Right answers and planted mistakes for chapter 12; these hang in its museum."""

from minids.check.bugs.ch12.soft import soft, soft_reversed, soft_shifted, soft_with_padding

__all__ = ["soft", "soft_reversed", "soft_shifted", "soft_with_padding"]
