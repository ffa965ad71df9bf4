"""Checks of chapter 10: rewards by rule, advantages by group, the clipped loss, what teaches."""
