"""The `mlops` command: starting the loop, replaying the demo, and looking at what the loop did."""
