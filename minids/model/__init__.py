"""What a model is made of: pure functions for the mathematics, thin modules that own weights."""
