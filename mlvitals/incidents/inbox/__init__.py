"""An inbox that plays Slack, PagerDuty and a webhook, so that notifications arrive somewhere without any secret."""
