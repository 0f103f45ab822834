"""What a count says of a share, and two counts of each other. Standard library only: both sides use it."""
