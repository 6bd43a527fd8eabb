"""Kubernetes as seen through its API: requests, watches, waits, manifests, leases."""
