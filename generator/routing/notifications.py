"""The words of Slack messages and PagerDuty incidents. They hold no text of a spec: that arrives as labels' values."""

from importlib.resources import files


def notification_templates(marker: str) -> str:
    """The file of Go templates, under the marker as a comment."""
    comment = marker.replace("*/", "*_/")
    return f"{{{{/* {comment} */}}}}\n" + files(__package__).joinpath("notifications.tmpl").read_text(encoding="utf-8")
