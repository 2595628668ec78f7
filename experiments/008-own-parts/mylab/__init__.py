"""Parts for inpaint."""
