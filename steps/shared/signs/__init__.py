"""Signs of life: what a job is doing, said in its log for whoever watches it."""
