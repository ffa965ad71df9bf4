"""Checks of chapter 00, the map: counting parameters, cache and activated parameters.

Most claims change one width and look at the difference: a wrong term shows alone.
"""
