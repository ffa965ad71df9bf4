"""Right answers and planted mistakes for chapter 00; these hang in its museum."""

from minids.check.bugs.ch00.active import (
    active_both_tables,
    active_experts_alone,
    active_norms_twice,
)
from minids.check.bugs.ch00.mla import kv_for_every_head

__all__ = ["active_both_tables", "active_experts_alone", "active_norms_twice", "kv_for_every_head"]
