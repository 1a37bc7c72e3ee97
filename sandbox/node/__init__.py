"""A real node for the sandbox: containerd, kubelet and kube-proxy, in namespaces of their own.

All that the node consists of lives in one PID, one mount and one network namespace. When the first
process there dies, the kernel ends every container, drops every mount, bridge and iptables rule;
nothing of it was ever on the host. Left on the host are cgroups and one end of a virtual cable,
which `sandbox.node.caretaker` removes, also when everything else was killed.

Linux, root and a few packages are needed: `packages.why_not` says what is missing.
"""

NODE_NAME = "real-node"
# As unshare(1) and nsenter(1) name them.
NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts")
