"""What all ranks share: exchanges between processes and nodes, and SIGTERM passed on to every one of them."""
