"""Checks of chapter 02: shared key heads, a step with a cache, and what the cache weighs.

Steps are judged by what they give, never by how: a text read in any pieces must come out as the
same text read at once, and that must be what attention is.
"""
