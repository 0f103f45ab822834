"""After training: the held-out rows once more in the form that is served, the unquantised base with the adapter."""
