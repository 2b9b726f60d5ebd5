"""What a request gets that needs a model before there is one."""


class ModelNotReady(Exception):
    """There is no model to ask now; the message is one sentence for the caller."""
