"""One training run: the alternating update, and all that watches, stores, stops and goes on with it."""
