"""Looking for annotated workloads, at an API server that does not always agree."""

import json

import pytest

from foretide.operator.cluster import ClusterError
from foretide.operator.profilers.annotated import Annotated


class Cluster:
    """Has Deployments alone; `refuses` are namespaces that take nothing new."""

    def __init__(self, *namespaces):
        self.namespaces, self.refuses, self.made = namespaces, set(), []

    async def text(self, path, *, accept):
        meta = [
            {"namespace": it, "name": "shop", "uid": it, "annotations": ANNOTATIONS}
            for it in self.namespaces
        ]
        found = meta if "/deployments?" in path else []
        # As the API server does: null where there are none.
        items = [{"metadata": it} for it in found] or None
        return json.dumps({"items": items, "metadata": {}})

    async def request(self, method, path, body=None, *, content_type=""):
        if method == "GET":
            return {"items": []}
        namespace = body["metadata"]["namespace"]
        if namespace in self.refuses:
            raise ClusterError("Forbidden", f"namespace {namespace} is being terminated", 403)
        self.made.append(namespace)
        return None


ANNOTATIONS = {"foretide.dev/profile": "once"}


async def test_a_namespace_that_refuses_keeps_no_other_from_its_profilers():
    cluster = Cluster("ending", "shop")
    cluster.refuses = {"ending"}
    annotated = Annotated(cluster, (), lambda body, **event: None, lambda: True)
    with pytest.raises(ClusterError, match="ending is being terminated"):
        await annotated.look()
    assert cluster.made == ["shop"]
