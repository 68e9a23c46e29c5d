"""The loop's metrics for Prometheus, read when they are asked for. The service's own belong to `serving.metrics`."""
