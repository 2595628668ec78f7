"""Generators as files of other programs: released weights become runs, and trained ones are exported and read back."""
