"""What check --account looks at, one module a subject, and the table that runs them all at once."""
