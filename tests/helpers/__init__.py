"""What tests share; `from helpers.running import shell`."""
