"""Losses that networks are trained by: terms of the generator, and adversarial losses of both networks."""
