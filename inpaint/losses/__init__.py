"""What networks are trained by."""
