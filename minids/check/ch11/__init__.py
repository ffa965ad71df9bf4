"""Checks of chapter 11: a reward for language, a loss of responses, rejection, stages, prices."""
