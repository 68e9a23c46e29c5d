"""Where windows land: a folder, an object store or a database, behind one protocol."""
