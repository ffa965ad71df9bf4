"""Checks of chapter 05, YaRN: how fast pairs turn, how they are slowed, how scores are sharpened.

axes: b rows, t tokens, s tokens attended to, d head width, v vocabulary
"""
