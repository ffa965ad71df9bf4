"""Checks of chapter 06: a bias that selects and never weighs, and what a balance loss sees."""
