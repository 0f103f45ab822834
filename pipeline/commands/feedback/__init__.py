"""What people think of answers, from the command line."""
