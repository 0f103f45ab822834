"""Commands as forked children of one process that has the libraries loaded."""
