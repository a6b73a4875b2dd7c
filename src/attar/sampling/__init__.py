"""New codes: from the prior, or from what is fitted to the codes."""
