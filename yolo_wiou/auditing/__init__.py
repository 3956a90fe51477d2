"""Which labels of a data set are wrong: what a detector says of each, and better ones."""
