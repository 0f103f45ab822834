"""What a model of any family takes in memory, measured on its own code without weights; for the preflight."""
