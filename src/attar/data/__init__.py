"""Step 1, prepare: the user's data becomes tensors, and can come back."""
