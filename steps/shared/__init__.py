"""What several steps share: the container's contract, records, secrets, model folders, safetensors files."""
