"""The command `yolo-wiou`, also as `python -m yolo_wiou`."""

import contextlib
import io
import sys


def main() -> int:
    """Run the command that stands in sys.argv; returns the exit code.

    What Ultralytics has to say when it is imported, as on its first day on a machine, goes to stderr: our own output
    is YAML or JSON, and may be piped. Both are UTF-8, as Ultralytics makes them on Windows, whose pipes have no ρ.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    with contextlib.redirect_stdout(sys.stderr):
        from yolo_wiou.cli.main import run_command
        from yolo_wiou.training.ultralytics_errors import log_to
    log_to(sys.stdout)
    return run_command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
