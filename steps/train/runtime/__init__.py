"""What ranks share: exchanges between processes, and SIGTERM as a request that all of them see."""
