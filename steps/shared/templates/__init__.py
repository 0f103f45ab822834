"""What a model's chat template makes of a row: its text, where the answer begins in it, and what is missing."""
