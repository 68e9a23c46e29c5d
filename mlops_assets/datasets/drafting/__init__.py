"""Drafts a contract from a user's data, for `mlops init`.

Here belongs looking at columns and tables, guessing, and saying what is unsure. What a contract holds belongs to
`mlops_assets.domain.dataset`.
"""
