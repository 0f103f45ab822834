"""The page of one execution, and that of all of a pipeline's: what the steps left, gathered and drawn as HTML."""
