"""The version, in a module without imports so that the build can read it."""

__version__ = "1.0.0"
