"""What all ranks share: exchanges between processes, and SIGTERM passed on to every one of them."""
