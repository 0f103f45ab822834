"""Building blocks of the steps' definitions: the scope, a Processing step, networks and keys."""
