"""The asset checks, one module a step: what must hold of each asset, named as the sentence that must be true."""
