"""One module an output: each renders a snapshot to bytes and knows nothing of the others."""
