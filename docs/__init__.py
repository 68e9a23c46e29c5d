"""The site of documents, and what is generated of it."""
