"""Numbers of tokens: none, the end of a text, a gap, and the first of the 256 bytes."""

PAD, END, MASK, BYTES = range(4)
