"""The layouts of preference data, one reader each: from a raw row to a pair."""
