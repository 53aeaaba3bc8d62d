"""scripts/stack/secrets.sh: what is given is taken, what is missing is made, and each is said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "stack" / "secrets.sh"


class Place:
    """Folders in place of the container's."""

    def __init__(self, root: Path) -> None:
        self.given, self.secrets = root / "given", root / "secrets"
        for folder in (self.given, self.secrets / "alertmanager", self.secrets / "grafana", root / "bin"):
            folder.mkdir(parents=True)
        (root / "bin" / "python").symlink_to(sys.executable)
        self.script = root / "secrets.sh"
        text = SCRIPT.read_text().replace("given=/given", f"given={self.given}")
        self.script.write_text(text.replace("=/secrets/", f"={self.secrets}/"))
        self.path = f"{root / 'bin'}:{os.environ['PATH']}"

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": self.path, **environment}
        done = subprocess.run(["sh", self.script], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    @property
    def password(self) -> str:
        return (self.secrets / "grafana" / "admin_password").read_text()

    def hook(self, name: str) -> str:
        return (self.secrets / "alertmanager" / name).read_text()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_without_secrets_notifications_go_to_the_inbox_and_a_password_is_generated(place):
    told = place.run().stdout
    assert place.hook("slack_webhook") == "http://inbox:9110/slack"
    assert len(place.password) >= 24
    assert place.password not in told


def test_a_generated_password_stays(place):
    place.run()
    before = place.password
    place.run()
    assert place.password == before


def test_given_files_are_taken(place):
    (place.given / "slack_webhook").write_text("https://hooks.example/x")
    (place.given / "grafana_admin_password").write_text("from a file\n")
    place.run()
    assert place.hook("slack_webhook") == "https://hooks.example/x"
    assert place.password == "from a file"


def test_the_environment_comes_before_a_file(place):
    (place.given / "grafana_admin_password").write_text("from a file")
    place.run(GRAFANA_ADMIN_PASSWORD="from the environment")
    assert place.password == "from the environment"


def test_an_empty_password_file_is_named_and_a_password_generated(place):
    (place.given / "grafana_admin_password").touch()
    told = place.run()
    assert "secrets/grafana_admin_password is empty" in told.stderr
    assert len(place.password) >= 24
