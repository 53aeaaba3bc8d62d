"""The post-mortem: written from what is known, edited by people, written again without losing what they wrote."""
