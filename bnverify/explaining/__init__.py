"""A user's numbers: explained step by step, compared with expected values, and followed over batches."""
