"""The Candidates step: several answers of the champion to prompts without a pair, best against worst."""
