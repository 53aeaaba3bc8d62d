"""An inbox that emulates Slack, PagerDuty and a webhook, so that notifications can be received without any secret."""
