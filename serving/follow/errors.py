"""What a follower of the channel cannot give yet."""

from seqplat_resources.errors import Retryable


class NotReady(Retryable):
    """There is nothing to answer from yet; ``fix`` says what has to happen. ``why`` is not for callers to see: it may
    name paths and servers."""

    def __init__(self, what: str, *, fix: str, why: str = "") -> None:
        self.what, self.fix, self.why = what, fix, why
        super().__init__(f"{what}{why and f' ({why})'}; {fix}")
