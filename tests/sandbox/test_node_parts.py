"""The parts of a real node that need neither root nor a cluster: addresses, images, settings."""

import io
import ipaddress
import json
import random
import tarfile
from pathlib import Path

import pytest
from cryptography import x509

from sandbox import SandboxError, SandboxSpec
from sandbox.components import commands, write_configs
from sandbox.layout import Layout
from sandbox.node import cgroups, images, packages, pythons
from sandbox.node.addresses import Addresses, choose, free, networks
from sandbox.node.archive import Image, LayerWriter, write_archive
from sandbox.node.images import image
from sandbox.node.packages import PACKAGES, Machine, missing, reason
from sandbox.node.record import read_record, wait_cleared
from sandbox.pki import write_pki
from sandbox.plan import PORT_NAMES, Plan
from sandbox.progress import Silent
from sandbox.spec import load_spec, save_spec


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "foretide" / "layers"


@pytest.fixture
def plan(tmp_path):
    def make(**changes):
        spec = SandboxSpec(directory=tmp_path, node=True, prometheus=False, **changes)
        ports = {name: 20_000 + k for k, name in enumerate(PORT_NAMES)}
        names = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
        binaries = {name: f"/bin/{name}" for name in (*names, "kubelet", "kube-proxy", "kwok")}
        return Plan(spec, Layout(tmp_path), binaries, ports, 0.0, Addresses(77))

    return make


BASE = Image("foretide.dev/base:1", "amd64", (), {"Env": ["A=1", "B=2"], "Cmd": ["x"]})


def test_the_networks_that_are_taken_are_left_alone():
    routes = [
        {"dst": "default", "gateway": "192.0.2.1"},
        {"dst": "192.0.2.0/24"},
        {"dst": "10.3.7.0/24"},
        {"dst": "10.8.0.0/14"},
        {"dst": "10.1.2.3"},
        {"type": "broadcast", "dst": "10.200.255.255"},
    ]
    assert set(range(1, 255)) - set(free(networks(routes))) == {1, 3, 8, 9, 10, 11, 200}
    drawn = {choose(networks(routes), random.Random(seed)).number for seed in range(9)}
    assert len(drawn) > 1
    assert drawn <= set(free(networks(routes)))


def test_a_vpn_that_takes_all_private_addresses_leaves_room_within_them():
    assert networks([{"dst": "10.0.0.0/8"}, {"dst": "0.0.0.0/1"}, {"dst": "10.128.0.0/9"}]) == []


@pytest.mark.slow
def test_a_machine_without_a_free_network_says_so():
    taken = [ipaddress.ip_network(f"10.{n}.0.0/16") for n in range(256)]
    with pytest.raises(SandboxError, match=r"no network 10\.N\.0\.0/16 is free"):
        choose(taken, random.Random(1))


def test_all_addresses_of_a_node_lie_in_its_network_and_do_not_meet():
    ours = Addresses(77)
    pods, services = ipaddress.ip_network(ours.pods), ipaddress.ip_network(ours.services)
    whole = ipaddress.ip_network(ours.network)
    assert pods.subnet_of(whole)
    assert services.subnet_of(whole)
    assert not pods.overlaps(services)
    for address in map(ipaddress.ip_address, (ours.host, ours.node)):
        assert address in whole
        assert address not in pods
        assert address not in services
    assert ipaddress.ip_address(ours.api_service) == services[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"system": "darwin"}, "needs Linux, this is darwin"),
        ({"user": 1000}, "needs root"),
        ({"capabilities": 1 << 12}, "needs CAP_SYS_ADMIN, which root does not have here"),
        ({"capabilities": 0}, "needs CAP_NET_ADMIN and CAP_SYS_ADMIN"),
        ({"cgroups_writable": False}, "/sys/fs/cgroup cannot be written"),
        ({"missing": ("runc",)}, None),
        ({"missing": ("runc",), "apt": False}, "install what Debian's runc hold"),
    ],
)
def test_why_there_can_be_no_node_is_said(changes, said):
    fit = {"system": "linux", "user": 0, "capabilities": 1 << 12 | 1 << 21}
    fit |= {"cgroups_writable": True, "missing": (), "apt": True}
    given = reason(Machine(**{**fit, **changes}))
    assert (given is None) if said is None else (said in given)


def test_nothing_is_installed_where_there_can_be_no_node(monkeypatch):
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(packages.apt, "install", lambda *_: pytest.fail("apt-get was run"))
    with pytest.raises(SandboxError, match="needs root"):
        packages.ensure_packages(Silent())


def test_what_is_missing_is_named_by_its_package():
    here = {"ctr", "containerd", "runc", "ip", "nsenter", "unshare"}
    lacking = missing(lambda name: f"/bin/{name}" if name in here else None, None)
    assert lacking == ["containernetworking-plugins", "iptables"]
    assert missing(lambda name: f"/bin/{name}", Path("/opt/cni/bin")) == []
    assert set(missing(lambda name: None, Path("/opt"))) == set(PACKAGES.values())


def test_a_cgroup_is_made_in_each_hierarchy_of_v1_and_removed_with_all_below(tmp_path):
    for controller in ("cpu,cpuacct", "cpuset", "memory"):
        (tmp_path / controller).mkdir()
        (tmp_path / controller / "cgroup.procs").touch()
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    (tmp_path / "not-a-hierarchy").mkdir()
    cgroups.make("ours", tmp_path)
    assert len(list(tmp_path.glob("*/ours"))) == 4  # `cpu` shows its folder a second time.
    (tmp_path / "memory/ours/kubepods/pod").mkdir(parents=True)
    assert cgroups.remove("ours", tmp_path)
    assert not list(tmp_path.glob("*/ours"))
    assert (tmp_path / "memory/cgroup.procs").exists()


def test_a_cgroup_that_is_busy_is_reported_as_left(tmp_path):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/cgroup.procs").touch()
    cgroups.make("ours", tmp_path)
    (tmp_path / "memory/ours/in-use").touch()
    assert not cgroups.remove("ours", tmp_path, timeout=0.0)


def test_a_cgroup_of_v2_gets_the_controllers_that_there_are(tmp_path):
    for folder in (tmp_path, tmp_path / "ours"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (folder / "cgroup.subtree_control").touch()
    cgroups.make("ours", tmp_path)
    # The kernel takes each write as a request; a plain file keeps the last one.
    assert (tmp_path / "ours/cgroup.subtree_control").read_text() == "+pids"
    assert cgroups.hierarchies(tmp_path) == [tmp_path]


def test_an_image_holds_its_files_and_what_it_changes_of_its_base(cache, tmp_path):
    code = tmp_path / "code"
    (code / "sub" / "__pycache__").mkdir(parents=True)
    (code / "main.py").write_text("print(1)")
    (code / "sub" / "run").write_text("#!/bin/sh\n")
    (code / "sub" / "run").chmod(0o755)
    (code / "sub" / "__pycache__" / "x.pyc").touch()
    made = image(
        "app",
        BASE,
        files={"/opt/app": code, "/etc/app.conf": "a = b\n"},
        environment={"B": "3", "C": "4=5"},
        command=["python3", "/opt/app/main.py"],
        user="1000:1000",
        workdir="/opt/app",
    )
    assert made.config == {
        "Env": ["A=1", "B=3", "C=4=5"],
        "Cmd": ["python3", "/opt/app/main.py"],
        "User": "1000:1000",
        "WorkingDir": "/opt/app",
    }
    with tarfile.open(made.layers[-1].path) as layer:
        modes = {member.name: member.mode for member in layer}
        assert {member.uid for member in layer} == {0}
        assert layer.extractfile("etc/app.conf").read() == b"a = b\n"
    assert modes["opt/app/sub/run"] == 0o755
    assert modes["opt/app/main.py"] == 0o644
    assert list(modes)[:2] == ["opt", "opt/app"]
    assert not any("__pycache__" in name for name in modes)


def test_an_images_tag_follows_its_content_unless_it_is_given(cache):
    one, two = (image("app", BASE, files={"/x": text}) for text in ("1", "2"))
    assert one.reference != two.reference
    assert one.reference.startswith("foretide.dev/app:")
    assert one == image("app", BASE, files={"/x": "1"})
    assert image("app:7", BASE, files={"/x": "1"}).reference == "foretide.dev/app:7"


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("app:latest", {}, "choose a tag"),
        ("App", {}, "is not a name for an image"),
        ("app", {"/x": Path("/no/such/file")}, "is not there"),
    ],
)
def test_an_image_that_cannot_be_is_refused(cache, name, files, message):
    with pytest.raises(SandboxError, match=message):
        image(name, BASE, files=files)


def test_packages_need_a_base_with_a_python(cache):
    with pytest.raises(SandboxError, match="has no Python"):
        image("app", BASE, packages=["py-spy==0.4.3"])


def test_layers_are_made_once_and_forgotten_when_long_unused(cache, monkeypatch):
    image("app", BASE, files={"/x": "1"})
    (kept,) = cache.iterdir()
    stamp = kept.stat().st_mtime
    image("app", BASE, files={"/x": "1"})
    assert list(cache.iterdir()) == [kept]
    monkeypatch.setattr(images.time, "time", lambda: stamp + images.UNUSED_SECONDS + 60)
    image("app", BASE, files={"/x": "2"})
    assert kept not in list(cache.iterdir())


def test_an_archive_holds_a_shared_layer_once(cache):
    one = image("one:1", BASE, files={"/x": "1"})
    two = image("two:1", one, files={"/y": "2"})
    written = io.BytesIO()
    write_archive([one, two], written)
    written.seek(0)
    with tarfile.open(fileobj=written) as archive:
        names = archive.getnames()
        manifest = json.load(archive.extractfile("manifest.json"))
        configuration = json.load(archive.extractfile(manifest[1]["Config"]))
    assert len(names) == len(set(names)) == 2 + 2 + 1
    assert [entry["RepoTags"] for entry in manifest] == [
        ["foretide.dev/one:1"],
        ["foretide.dev/two:1"],
    ]
    assert manifest[1]["Layers"][0] == manifest[0]["Layers"][0]
    digests = [f"sha256:{layer.digest}" for layer in two.layers]
    assert configuration["rootfs"]["diff_ids"] == digests


def test_the_libraries_that_a_program_loads_are_read_from_ldd():
    text = """/usr/bin/python3:
\tlinux-vdso.so.1 (0x00007ffd)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)
\tlibtk8.6.so => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f)
/usr/bin/other:
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)
"""
    assert pythons.libraries_of(text) == [
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib64/ld-linux-x86-64.so.2",
    ]


def test_of_a_standard_library_only_what_an_application_imports_is_taken(tmp_path):
    for name in (
        "os.py",
        "__pycache__/os.cpython-312.pyc",
        "__pycache__/os.cpython-312.opt-1.pyc",
        "test/test_os.py",
        "lib-dynload/_ssl.so",
        "lib-dynload/_tkinter.so",
        "lib-dynload/_testcapi.so",
        "site-packages/other.py",
        "config-3.12-x86_64/libpython3.12.a",
        "json/tests/x.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    taken = {str(p.relative_to(tmp_path)) for p in pythons.library_files(tmp_path, "3.12")}
    assert taken == {"os.py", "__pycache__/os.cpython-312.pyc", "lib-dynload/_ssl.so"}


@pytest.mark.parametrize("version", ["3", "2.7", "3.12.1.1", "latest", "../3.1"])
def test_a_version_of_python_that_cannot_be_is_refused(version):
    with pytest.raises(SandboxError, match="is not a version of Python"):
        pythons.find(version)


def test_a_python_that_is_not_here_is_named():
    with pytest.raises(SandboxError, match=r"no Python 3\.99 on PATH"):
        pythons.find("3.99")


@pytest.mark.slow
def test_the_running_python_is_found_with_its_library():
    found = pythons.find(None)
    assert Path(found.stdlib, "os.py").exists()
    assert pythons.find(found.minor).minor == found.minor


def test_a_layer_keeps_a_files_time_and_makes_its_folders_first(tmp_path):
    source = tmp_path / "x.py"
    source.write_text("x")
    output = io.BytesIO()
    writer = LayerWriter(output)
    writer.folder("/tmp", 0o1777)
    writer.file("/a/b/x.py", source)
    writer.link("/a/y.py", "b/x.py")
    writer.close()
    output.seek(0)
    with tarfile.open(fileobj=output) as layer:
        members = {member.name: member for member in layer}
    assert list(members) == ["tmp", "a", "a/b", "a/b/x.py", "a/y.py"]
    assert members["tmp"].mode == 0o1777
    assert members["a/b/x.py"].mtime == int(source.stat().st_mtime)
    assert members["a/y.py"].linkname == "b/x.py"


def test_images_reach_the_supervisor_with_the_spec(cache, tmp_path):
    made = image("app:1", BASE, files={"/x": "1"}, command=["/x"])
    save_spec(SandboxSpec(directory=tmp_path, node=True, images=[made]), tmp_path)
    loaded = load_spec(tmp_path)
    assert loaded.node
    assert loaded.images == (made,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [BASE]}, "images need node=True"),
        ({"node": True, "controller_manager": False}, "needs controller_manager=True"),
    ],
)
def test_a_spec_of_a_node_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(SandboxError, match=message):
        SandboxSpec(**changes)


def test_a_real_node_takes_the_place_of_kwok_and_comes_before_the_api_server(plan):
    chosen = {command.name: command for command in commands(plan())}
    assert "kwok" not in chosen
    assert "node" in chosen["kube-apiserver"].after
    argv = chosen["kube-apiserver"].argv
    assert "--bind-address=10.77.255.1" in argv
    assert "--service-cluster-ip-range=10.77.128.0/18" in argv
    assert "--authorization-mode=Node,RBAC" in argv


def test_certificates_hold_the_addresses_at_which_servers_are_reached(plan):
    made = plan()
    write_pki(made.layout.pki, made.node)
    write_configs(made)

    def addresses(name):
        certificate = x509.load_pem_x509_certificate((made.layout.pki / name).read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return set(map(str, names.get_values_for_type(x509.IPAddress)))

    assert {"127.0.0.1", "10.77.255.1", "10.77.128.1"} <= addresses("server.crt")
    assert "10.77.255.2" in addresses("kubelet-server.crt")
    for name in ("kubelet", "kube-proxy"):
        kubeconfig = made.layout.config / f"{name}.kubeconfig"
        assert "https://10.77.255.1:" in kubeconfig.read_text()
        assert kubeconfig.stat().st_mode & 0o077 == 0


def test_a_record_that_is_not_there_or_broken_is_no_node(tmp_path):
    assert read_record(tmp_path) is None
    wait_cleared(tmp_path)
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "record.json").write_text('{"first": 1')
    assert read_record(tmp_path) is None
