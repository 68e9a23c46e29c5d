"""Families of metrics, as prometheus_client has them. What is measured belongs to the modules beside."""

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


def gauge(name: str, what: str, value: float | None) -> list[Metric]:
    """A gauge without labels; its name alone where the value is not known."""
    family = GaugeMetricFamily(name, what)
    if value is not None:
        family.add_metric([], value)
    return [family]


def gauges(name: str, what: str, label: str, values: Mapping[str, float]) -> list[Metric]:
    """A gauge by one label."""
    family = GaugeMetricFamily(name, what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return [family]


def counters(name: str, what: str, label: str, values: Mapping[str, float]) -> list[Metric]:
    """A counter by one label; Prometheus knows it as `<name>_total`."""
    family = CounterMetricFamily(name, what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return [family]
