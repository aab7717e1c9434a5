"""What did come out: the only part that touches Keras."""
