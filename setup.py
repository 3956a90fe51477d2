"""What pyproject.toml cannot say: on PyPI the README's links and pictures are those of the repository."""

import re
from pathlib import Path

from setuptools import setup

REPOSITORY = "https://github.com/yolo-wiou/yolo-wiou"
RELATIVE = r"\]\((?!\w+:|#)"

readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
readme = re.sub(rf"(!\[[^]]*){RELATIVE}", rf"\1]({REPOSITORY}/raw/main/", readme)
readme = re.sub(RELATIVE, f"]({REPOSITORY}/blob/main/", readme)
setup(long_description=readme, long_description_content_type="text/markdown")
