"""What is found out before anything is paid for: inputs, a recipe's memory and totals, hours and cost."""
