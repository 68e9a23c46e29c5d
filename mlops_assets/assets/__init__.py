"""The assets, one module a step. They are thin: call the rule, store the result, report the numbers as metadata."""
