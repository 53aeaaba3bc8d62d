"""Build the documentation as a site into .cache/site; with ``--serve``, serve it while pages change.

MkDocs wants all pages in one folder. Pages and what they link to are copied there as they lie in the repository, so that every
link of a page works in both places.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / ".cache" / "site-source"
_PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "runbooks")
_LINKED = ("LICENSE", "docker-compose.yml", "specs", "examples")


def copy_pages() -> None:
    """Copy what is committed of the documentation and of what it links to."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", *_PAGES, *_LINKED], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        target = SOURCE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)


if __name__ == "__main__":
    copy_pages()
    wanted = "serve" if "--serve" in sys.argv[1:] else "build"
    command = [sys.executable, "-m", "mkdocs", wanted, "--strict", "--quiet"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)
