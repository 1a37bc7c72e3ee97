"""Pods as an API server gives them."""

import pytest


@pytest.fixture
def make_pod():
    """A running pod with one container `app`; what is given is laid over it."""

    def make(name="shop-1", *, container=None, spec=None, status=None, meta=None, **state):
        app = {"name": "app", "image": "shop:1", **(container or {})}
        return {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": f"uid-{name}",
                "creationTimestamp": "2026-03-01T00:00:00Z",
                "labels": {"app": "shop"},
                **(meta or {}),
            },
            "spec": {"nodeName": "node-1", "containers": [app], **(spec or {})},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [
                    {
                        "name": "app",
                        "imageID": "sha256:abc",
                        "containerID": "containerd://0123",
                        "state": {"running": {}},
                        **state,
                    }
                ],
                **(status or {}),
            },
        }

    return make


@pytest.fixture
def order():
    from foretide.operator.profilers.containers import Order

    return Order(image="foretide:1", run="r1", seconds=60.0, rate=20, window=10.0, idle=600.0)
