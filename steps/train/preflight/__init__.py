"""What is found out before a weight is loaded: conflicts of settings, totals, memory of one GPU."""
