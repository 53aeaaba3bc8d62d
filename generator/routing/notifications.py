"""The texts of Slack messages and PagerDuty incidents. They contain no text of a spec, which arrives in label values."""

from importlib.resources import files


def notification_templates(marker: str) -> str:
    """Return the file of Go templates, with the marker as a comment on top."""
    comment = marker.replace("*/", "*_/")
    return f"{{{{/* {comment} */}}}}\n" + files(__package__).joinpath("notifications.tmpl").read_text(encoding="utf-8")
