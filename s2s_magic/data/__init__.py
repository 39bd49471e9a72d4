"""Turn notebook variables into batches: look up, read, check and tokenize."""
