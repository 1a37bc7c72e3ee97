"""The forecast that scaling acts on: the maximum of demand over the coming lead time."""
