"""The closed loop as a Dagster code location.

The way of the data, a line a step; each step has one name in `assets`, `checks`, `sensors`, `domain` and `tests`:

    windows      a landed file becomes a validated data window with a stable split
    drift        the window is measured against what the production model learned from
    candidate    where drift exceeds the threshold, a model is trained and compared with production
    production   a candidate that the gate let through is promoted and released
    service      what the prediction service answers with is observed and checked
    scoring      the production model scores a whole window, when somebody asks for it
"""
