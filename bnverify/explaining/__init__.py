"""Someone's own numbers: explained step by step, compared with what was expected, and followed over batches."""
