"""The flame graph: what is in its tree, that nothing hostile gets out, and that it is drawn."""

import base64
import hashlib
import json
import re
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foretide.profiling.calltree import call_tree
from foretide.profiling.flame import differential, flame_graph
from foretide.profiling.formats import collapsed
from foretide.profiling.profile import Merging, merge
from foretide.profiling.window import Frame, ThreadState

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>&lt;b&gt;",
    "@@DATA@@ @@HASH@@ @@TITLE@@",
    "\u2028\u2029\x00\ud800",
    '"; alert(1); "',
]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def profile_of(stacks, name="Main"):
    merging = Merging()
    for stack, cpu in stacks.items():
        frames = [Frame(part, "/app/a.py", 1) for part in stack]
        state = ThreadState.RUNNING
        merging.add(merging.stack(frames), thread=name, state=state, cpu=cpu, wall=cpu, samples=cpu)
    return merging.profile(seconds=10.0)


def paths(tree, side, metric="cpu"):
    """{path of names: total} of a tree."""
    found, path = {}, []
    for function, depth, value in zip(
        tree.function, tree.depth, tree.values[side][metric], strict=True
    ):
        del path[depth:]
        path.append(tree.functions[function].name)
        found["/".join(path)] = value
    return found


def data_of(page):
    """The page's data, as a browser takes it: up to the first end of the element."""
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script', page, re.S)[1]
    )


def test_counts_are_called_samples_only_where_they_may_be():
    def drawn(counted):
        return data_of(flame_graph(collapsed.load(f"main;work {counted}\n".encode()), "x"))

    few, many = drawn(300), drawn(30_000_000)
    assert (few["unit"], few["facts"]["all"]["samples"]) == ("samples", 300)
    assert (many["unit"], many["facts"]["all"]["samples"]) == ("counts", 0)


def test_equal_paths_are_one_node_below_their_pool(window, thread):
    one = thread({"main:1;a:2;b:3": (100, 100), "main:9;a:2": (100, 100)}, cpu=8.0)
    two = thread({"main:1;a:5": (100, 100)}, cpu=1.0, name="job_1", tid=2)
    tree = call_tree({"all": merge([window(one, two)])})
    assert paths(tree, "all") == pytest.approx(
        {
            "all": 9.0,
            "all/MainThread": 8.0,
            "all/MainThread/main": 8.0,
            "all/MainThread/main/a": 8.0,
            "all/MainThread/main/a/b": 4.0,
            "all/job_*": 1.0,
            "all/job_*/main": 1.0,
            "all/job_*/main/a": 1.0,
        }
    )


def test_what_is_gone_and_what_is_new_share_a_tree():
    before, after = profile_of({("main", "old"): 6.0}), profile_of({("main", "new"): 2.0})
    tree = call_tree({"before": before, "after": after})
    assert paths(tree, "before")["all/Main/main/old"] == 6.0
    assert paths(tree, "after")["all/Main/main/old"] == 0
    assert paths(tree, "after")["all/Main/main/new"] == 2.0


def test_too_many_nodes_leave_out_the_narrowest_and_say_so():
    stacks = {("main", f"f{number}"): 1.0 + number for number in range(200)}
    tree = call_tree({"all": profile_of(stacks)}, most=50)
    assert 40 <= len(tree.function) <= 51
    assert tree.left_out == 203 - len(tree.function)
    assert "all/Main/main/f199" in paths(tree, "all")


@pytest.mark.slow
def test_recursion_as_deep_as_python_allows_is_no_trouble():
    tree = call_tree({"all": profile_of({("walk",) * 15_000: 1.0})})
    assert max(tree.depth) == 15_001


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    stacks=st.dictionaries(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map(tuple),
        st.floats(0.01, 10),
        min_size=1,
        max_size=10,
    )
)
def test_no_call_costs_more_than_its_caller(stacks):
    tree = call_tree({"all": profile_of(stacks)})
    found = paths(tree, "all")
    assert found["all"] == pytest.approx(sum(stacks.values()))
    for path, value in found.items():
        callees = [v for p, v in found.items() if p.rpartition("/")[0] == path]
        assert sum(callees) <= value + 1e-9


@pytest.mark.parametrize("text", HOSTILE)
def test_names_that_would_break_out_stay_data(text):
    profile = profile_of({("main", text): 1.0}, name=text)
    for page in (flame_graph(profile, text), differential(profile, profile, text)):
        page.encode()
        assert len(re.findall(r"<script", page)) == 2
        data = data_of(page)
        assert text in [name for name, _ in data["functions"]]
        assert data["title"] == text


def test_the_page_allows_no_script_but_its_own_and_no_network():
    page = flame_graph(profile_of({("main",): 1.0}), "t")
    script = re.search(r"<script>(.*?)</script>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "innerHTML" not in page


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no browser is there")
@pytest.mark.parametrize("kind", ["one", "both"])
def test_a_browser_draws_fifty_thousand_calls_at_once(tmp_path, kind):
    """The bar is 300 ms on a quiet machine; here it only must not take seconds."""
    stacks = {("main", f"m{n % 97}", f"f{n % 5_000}", f"g{n}"): 1.0 + n % 13 for n in range(45_000)}
    profile = profile_of(stacks)
    page = flame_graph(profile, "x") if kind == "one" else differential(profile, profile, "x")
    path = tmp_path / "flame.html"
    path.write_text(page, encoding="utf-8")
    told = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
         "--virtual-time-budget=2000", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    took = float(re.search(r'data-paint="([\d.]+)"', told)[1])
    assert took < 2_000
    assert "CPU time" in told
