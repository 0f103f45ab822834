"""`make account-test`: the quickstart in a real AWS account, for a few tens of cents; nothing of it stays there."""
