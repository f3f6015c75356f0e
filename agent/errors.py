"""Every error the agent raises on purpose, split by what the caller does about it.

    OutriderError
    ├── ConfigError            give up: the operator mends a file; says file, line, key, value, remedy
    ├── RetryElsewhere         ask another server
    │   ├── NotLeader          names the leader where one is known
    │   └── Unreachable        no connection, or the deadline of a call passed before it was sent
    ├── RetryLater             ask again, here
    │   ├── NoClusterLeader    "No cluster leader", 500 on the HTTP API, as Nomad says it
    │   └── Overloaded         a bounded queue is full
    ├── UnknownOutcome         a write may or may not have happened; ask before repeating it
    └── RequestRefused         give up: the request itself is wrong; carries the HTTP status
        └── NotFound           404

Anything else that escapes is a bug.
"""


class OutriderError(Exception):
    """The root: what is not below it was not raised on purpose."""


class ConfigError(OutriderError):
    """A configuration that cannot be used; the message is complete and fit to print alone."""


class RetryElsewhere(OutriderError):
    """The request is fine, this server is not the one to carry it out."""


class NotLeader(RetryElsewhere):
    """Only the leader does this; `leader` is its RPC address, or empty when it is not known."""

    def __init__(self, leader: str = "") -> None:
        super().__init__(f"not the leader; leader={leader or 'unknown'}")
        self.leader = leader


class Unreachable(RetryElsewhere):
    """The other side could not be reached; nothing was done there."""


class RetryLater(OutriderError):
    """The request is fine and the place is right, but not now."""


class NoClusterLeader(RetryLater):
    """The cluster has no leader, or none that answered within the hold time."""

    def __init__(self) -> None:
        super().__init__("No cluster leader")


class Overloaded(RetryLater):
    """A bounded queue is full; the message names it."""


class UnknownOutcome(OutriderError):
    """The write was sent and its answer is lost: it may have been carried out."""


class RequestRefused(OutriderError):
    """The request is wrong and will stay so; `status` is the HTTP status Nomad answers with."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class NotFound(RequestRefused):
    """What was asked for does not exist; the message is Nomad's body, such as "job not found"."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 404)
