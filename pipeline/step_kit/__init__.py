"""What the steps' definitions are made with: the scope, a Processing step, networks and keys."""
