"""The verbs of the command line, one file a concern. They parse, call and print; the rules live elsewhere."""
