"""What the pages of the steps have in common: their look, their policy, and how they make other people's text safe."""
