"""try: one question to a version on this machine, or a conversation with it, beside its base and the champion."""
