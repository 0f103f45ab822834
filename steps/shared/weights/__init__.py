"""A model's weight files: their headers, whether their names are a whole model's, and which model they are."""
