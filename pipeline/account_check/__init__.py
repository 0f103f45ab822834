"""check --account: what of an account would let an execution fail, looked at before one is paid for; reads only."""
