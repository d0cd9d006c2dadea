"""Migration validation: is what arrived what was sent?  Batch by batch, down to the row."""
