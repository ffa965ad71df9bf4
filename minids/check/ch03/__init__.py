"""Checks of chapter 03: cutting experts, gating them, adding them up, measuring whom they serve."""
