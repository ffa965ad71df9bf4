"""Checks of chapter 08: rounding to eight bits, scales, long sums, and the products of a layer."""
