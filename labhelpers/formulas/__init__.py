"""Computes, from a Pod's spec alone, the numbers that a node will have. Nothing here asks a
cluster.

Each formula names its source, as a path in Kubernetes 1.37
(https://github.com/kubernetes/kubernetes/tree/v1.37.0) unless it names another project. If a
function takes ``spec``, it's a Pod or its ``spec``, as a dict, from a manifest or from the API.
"""

from labhelpers.formulas.cgroup_values import (
    PERIOD_US,
    Values,
    cgroup_values,
    cpu_shares,
    cpu_weight,
    memory_limit_bytes,
    oom_score_adj,
    pod_cgroup_values,
    qos_class,
    quota,
    weight_conversion,
)
from labhelpers.formulas.counts import Count, count
from labhelpers.formulas.cpu_time import (
    burst_seconds,
    contention_split,
    throttled_seconds,
    throttled_share,
)
from labhelpers.formulas.pod_spec import CONTAINER_LISTS, effective_requests
from labhelpers.formulas.quantities import quantity

__all__ = [
    "CONTAINER_LISTS",
    "PERIOD_US",
    "Count",
    "Values",
    "burst_seconds",
    "cgroup_values",
    "contention_split",
    "count",
    "cpu_shares",
    "cpu_weight",
    "effective_requests",
    "memory_limit_bytes",
    "oom_score_adj",
    "pod_cgroup_values",
    "qos_class",
    "quantity",
    "quota",
    "throttled_seconds",
    "throttled_share",
    "weight_conversion",
]
