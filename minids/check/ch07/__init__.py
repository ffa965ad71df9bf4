"""Checks of chapter 07: who predicts what, and how drafts are taken without changing the text."""
