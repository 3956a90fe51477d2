"""What a loss does to boxes, without a detector: its curves, and the papers' regression experiments."""
