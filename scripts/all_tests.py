"""Run all tests: those that wait for the clock in the background, with the right of way, and all others meanwhile.

What the tests of the marker `realtime` measure passes on the clock; they are idle most of the time. The others run at a
lower priority, so that these find a core whenever they need one.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

_PYTEST = [sys.executable, "-m", "pytest"]
_CLOCK = ["-n", "2", "-m", "realtime"]
# Tests wait for servers and processes: meanwhile a third worker uses the core that two would leave idle.
# Workers begin with the files that take long (tests/conftest.py): by the number of their tests these would come last.
_SCHEDULE = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]
_REST = [*_SCHEDULE, "-m", "not realtime and not exercise and not endurance"]


def main() -> int:
    """Return 0 where every test passed."""
    with TemporaryFile() as output:
        clock = subprocess.Popen([*_PYTEST, *_CLOCK], stdout=output, stderr=subprocess.STDOUT)
        try:
            rest = subprocess.run(["nice", "-n", "10", *_PYTEST, *_REST], check=False).returncode
        finally:
            # An interrupt from the terminal reaches both.
            on_time = clock.wait()
        output.seek(0)
        print("\nThe tests that wait for the clock:", flush=True)
        sys.stdout.buffer.write(output.read())
    return rest or on_time


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    sys.exit(main())
