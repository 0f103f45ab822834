"""The command that writes pages: of one execution, and of all of a pipeline's."""
