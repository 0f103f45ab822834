"""feedback and forget: what people say about answers, and that it is gone again."""
