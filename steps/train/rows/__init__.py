"""Records to token ids and loss masks, and the split into train and held-out rows."""
