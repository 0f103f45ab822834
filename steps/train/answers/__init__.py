"""What the trained model, its base and its champion write, answering held-out prompts, and how good that is."""
