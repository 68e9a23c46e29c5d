"""What `benchmarks.serving` compares the service with, each side of it in a form of its own."""
