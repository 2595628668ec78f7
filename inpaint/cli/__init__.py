"""How a command runs, alone or as one job of a sweep."""
