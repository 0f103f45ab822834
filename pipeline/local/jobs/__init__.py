"""One job on this machine: its tree, its nodes, and the engine that runs them, processes or Docker."""
