"""Checks of chapter 04: what latent attention must keep, and what carrying the query must save."""
