"""A language model as the judge of text answers: the trained model's against the base's, in both orders."""
