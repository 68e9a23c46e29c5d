"""Reference pages that are generated from the code: a module has the name of its page, and a function `page`."""
