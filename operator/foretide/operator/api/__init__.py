"""The API `foretide.dev/v1alpha1`: pydantic models, and the CRDs generated from them."""
