"""The sections of a report, a folder each: `report` (the data), `measure` (window in, report out), `views`.

A section imports no other one, except `segments`, which imports `outcomes`. Of a window's report it sees only its part.
"""
