# What `import leaseq` gives, for type checkers: `__init__.py` imports each name when it is first asked for.
from leaseq.api.attaching import future as future
from leaseq.api.attaching import results as results
from leaseq.api.errors import Lost as Lost
from leaseq.api.errors import RemoteError as RemoteError
from leaseq.api.errors import RemoteTraceback as RemoteTraceback
from leaseq.api.errors import TaskFailed as TaskFailed
from leaseq.api.errors import TaskTimeout as TaskTimeout
from leaseq.api.executor import Executor as Executor
from leaseq.api.futures import Future as Future
from leaseq.api.mapped import Results as Results
from leaseq.errors import LeaseqError as LeaseqError

__version__: str
API: dict[str, tuple[str, ...]]
__all__: list[str]
