"""Networks that paint holes: ``(image, mask) -> Outputs``; one file a published family."""
