"""Many runs by one command: grids and searches, on one machine or a cluster, that survive failures and restarts."""
