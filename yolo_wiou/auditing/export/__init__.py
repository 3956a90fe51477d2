"""What an audit found, in the files of other tools: one module for each."""
