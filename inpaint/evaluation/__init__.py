"""What an evaluation measures, how sure its figures are, and the files that it leaves behind."""
