"""The checks of a rendered definition against the AWS API model; `api_model.py` is the way in."""
