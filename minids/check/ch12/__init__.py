"""Checks of chapter 12: rejection sampling, two divergences, a lesson, and what lessons cost."""
