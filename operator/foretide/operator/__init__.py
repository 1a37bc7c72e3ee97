"""The kopf operator and the `foretide` command: the only component that writes to Kubernetes."""
