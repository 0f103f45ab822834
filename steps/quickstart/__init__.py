"""The sample in the box: its preference data and the tiny base model that it trains."""
