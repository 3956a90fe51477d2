"""The studies: what a loss does to boxes, as figures and tables. They know the losses, but no training."""
