"""A video repaired as one: what a near frame shows is copied from there, and only the rest is painted."""
