"""KWOK's configuration, as far as its meaning is ours."""

import json

from sandbox.stages import stages


def by_name(text):
    documents = [json.loads(document) for document in text.split("\n---\n")]
    return {document["metadata"]["name"]: document["spec"] for document in documents}


def test_the_jitter_is_kwoks_latest_moment():
    delay = by_name(stages(ready_seconds=60, jitter_seconds=15))["pod-ready"]["delay"]
    assert delay["durationMilliseconds"] == 60_000
    assert delay["jitterDurationMilliseconds"] == 75_000


def test_heartbeats_come_before_the_node_is_taken_for_dead():
    delay = by_name(stages(ready_seconds=0, jitter_seconds=0))["node-heartbeat"]["delay"]
    assert delay["jitterDurationMilliseconds"] < 50_000
