"""Step 1, prepare: the user's data becomes tensors, and is restored from them."""
