"""Checks of chapter 01: norm, merges, rotary positions, the loss, and a bigram model.

Expected values come from properties and from formulas written here in another way than a learner
would; every property stands beside one that the identity fails.
"""
