"""How a trained model writes: choosing tokens, with a cache, one or several at a time."""
