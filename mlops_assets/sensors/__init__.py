"""The sensors, one module a step: a pure rule, and a tick that watches for a while and then acts on it."""
