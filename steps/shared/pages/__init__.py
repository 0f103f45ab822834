"""What the report pages share: their look, their content security policy, and the escaping of text from data."""
