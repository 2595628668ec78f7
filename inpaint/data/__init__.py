"""Photographs and masks on disk, their order, and the batches made of them."""
