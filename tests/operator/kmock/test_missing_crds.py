"""An operator that is started before its CRDs are applied."""

import kmock
import pytest

from foretide.operator.logs import NOT_INSTALLED, in_our_words

SCALERS = "foretide.dev/v1alpha1/predictivescalers"
CRDS = "apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
def told(caplog):
    """What the operator logs, as users see it."""
    caplog.handler.addFilter(in_our_words)
    yield lambda: [record.getMessage() for record in caplog.records]
    caplog.handler.removeFilter(in_our_words)


async def test_it_says_how_to_apply_them_and_goes_on_once_they_are_there(
    api, cluster, demand, start, told
):
    del api.resources[kmock.resource(SCALERS)]
    await cluster.deployment(replicas=2)
    demand.answer = 250
    operator = await start()
    await operator.until(lambda: NOT_INSTALLED in told())
    assert not any("Unresolved" in message for message in told())
    api.declare(SCALERS, "PredictiveScaler")
    names = {"kind": "PredictiveScaler"}
    crd = {"spec": {"group": "foretide.dev", "scope": "Namespaced", "names": names}}
    await cluster.create(CRDS, "predictivescalers.foretide.dev", crd)
    await cluster.scaler()
    await operator.until(lambda: cluster.replicas() == 5)
