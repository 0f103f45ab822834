"""Checks before anything costs money: inputs, a recipe's memory and number of steps, hours and cost."""
