"""Data to metrics: measures windows of the prediction log against the training reference and publishes the result.

    reading -> statistics -> sections -> window -> publish
    (rows)     (counts)      (reports)   (judged)  (Prometheus, SQL, HTML)

`reference` holds the baseline, `training` builds it, `process` runs all of this on a schedule. `serving` is separate:
the instrumentation of a serving application, which needs none of the rest. Imports run one way, from right to left;
`tests/layers` holds the order.
"""
