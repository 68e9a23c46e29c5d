"""Schedules: what is done at its time, whether anything happened or not."""
