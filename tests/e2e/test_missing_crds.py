"""An operator that is started before its CRDs are applied, on a real API server."""

from pathlib import Path

import pytest

CRDS = str(Path(__file__).parents[2] / "crds")


@pytest.fixture
def without_crds(sandbox, wait_for):
    """The cluster does not know PredictiveScalers; they are back for whatever comes next."""
    sandbox.kubectl("delete", "-f", CRDS)
    yield
    sandbox.kubectl("apply", "-f", CRDS)
    wait_for(lambda: "predictivescalers" in sandbox.kubectl("api-resources"))


@pytest.mark.usefixtures("without_crds")
def test_it_says_how_to_apply_them_and_goes_on_once_they_are_there(
    namespace, make_operator, demand, sandbox, wait_for
):
    namespace.deployment("shop", 2)
    demand.set(70)
    operator = make_operator().start()
    wait_for(lambda: "kubectl apply -f crds/" in operator.log.read_text())
    sandbox.kubectl("apply", "-f", CRDS)
    wait_for(lambda: "predictivescalers" in sandbox.kubectl("api-resources"))
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 10)
    said = operator.log.read_text()
    for raw in ("Unresolved", "(re)initializing", "Traceback"):
        assert raw not in said, said
