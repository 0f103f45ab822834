"""The quickstart's sample: its preference data and the tiny base model that it trains."""
