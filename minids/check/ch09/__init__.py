"""Checks of chapter 09: a simulator, bytes on two links, and the arithmetic of a bill."""
