"""What ranks share: exchanges between processes, interruption, and log-probabilities asked of a trainer."""
