"""`yolo-wiou compare`: paired trainings of several losses, and honest statistics of what came out."""
