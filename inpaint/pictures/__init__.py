"""Pictures as files: found and paired by their names, read, put on a sheet."""
