"""The gate's rules: each looks at one figure of the evaluation, and `table` asks all of them."""
