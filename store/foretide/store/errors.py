"""What the store answers when it cannot do what was asked."""


class StoreError(Exception):
    """A machine-readable reason (CamelCase) and a sentence for people, without any secret."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class StoreRefused(StoreError):
    """What was asked is wrong: asking again will not help. Nothing of it was done."""


class StoreUnavailable(StoreError):
    """The store cannot do it now: ask again later. Nothing of it was done, as far as is known."""
