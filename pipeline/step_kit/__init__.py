"""What the steps' definitions are made with: their common inputs, a Processing job, networks and keys."""
