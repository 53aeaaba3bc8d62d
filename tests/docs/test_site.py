"""The documentation builds as a site, every link of it leads somewhere, and it needs nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / ".cache" / "site"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "build_site.py"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    pages = sorted(SITE.rglob("*.html"))
    assert {f"{page.stem}.html" for page in (ROOT / "docs").glob("*.md")} <= {page.name for page in pages}
    loaded = [
        (page.name, address)
        for page in pages
        for address in re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text("utf-8"))
    ]
    assert loaded == []
    assert (SITE / "search" / "search_index.json").is_file()
