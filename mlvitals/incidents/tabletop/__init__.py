"""A tabletop exercise: a fault in a copy of the real history, the page that it causes, a team's answers, and a verdict."""
