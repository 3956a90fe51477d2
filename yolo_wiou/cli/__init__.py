"""The command `yolo-wiou`: Ultralytics' grammar, a module per command."""
