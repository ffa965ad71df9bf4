"""How we look at all this: scale, comparisons with their noise, figures, what a chapter says."""
