"""The pipeline's parameters: declared, checked values of one start, and those of past executions."""
