"""What the tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["YOLO_OFFLINE"] = "true"  # before the first import of ultralytics

sys.path.insert(0, str(Path(__file__).parent / "losses"))  # `import oracles`
