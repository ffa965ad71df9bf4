"""What a model reads: a vocabulary, text, problems, and batches made from them."""
