"""Where the losses meet Ultralytics: trainers, criteria and checkpoints with another box loss."""
