"""What the texts of a pair may hold besides text: a template's markers, calls, the prompt once more."""
