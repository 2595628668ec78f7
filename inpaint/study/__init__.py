"""What people prefer: two-alternative forced choices between inpainting methods, or between a method and the original.

`build` makes trials of folders of results, `server` shows them and keeps the `votes`, `report` says what they mean.
"""
