"""Registered model versions: listed, decided on, compared, and served by an endpoint."""
