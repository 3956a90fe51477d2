"""Where the losses meet Ultralytics: the only package that imports it."""
