"""Tensors in, tensors out: generators, discriminators and what they share."""
