# What `import leaseq` gives, for type checkers: `__init__.py` imports each name when it is first asked for.
from leaseq.api.acts import cancel as cancel
from leaseq.api.acts import change as change
from leaseq.api.acts import hold as hold
from leaseq.api.acts import move as move
from leaseq.api.acts import recover as recover
from leaseq.api.acts import redo as redo
from leaseq.api.acts import release as release
from leaseq.api.acts import retry as retry
from leaseq.api.acts import send_signal as send_signal
from leaseq.api.attaching import future as future
from leaseq.api.attaching import results as results
from leaseq.api.errors import Lost as Lost
from leaseq.api.errors import RemoteError as RemoteError
from leaseq.api.errors import RemoteTraceback as RemoteTraceback
from leaseq.api.errors import TaskFailed as TaskFailed
from leaseq.api.errors import TaskTimeout as TaskTimeout
from leaseq.api.executor import Executor as Executor
from leaseq.api.futures import Future as Future
from leaseq.api.leases import clean as clean
from leaseq.api.leases import pause as pause
from leaseq.api.leases import release_lease as release_lease
from leaseq.api.leases import resume as resume
from leaseq.api.leases import set_parallel as set_parallel
from leaseq.api.leases import use_lease as use_lease
from leaseq.api.looks import groups as groups
from leaseq.api.looks import leases as leases
from leaseq.api.looks import log as log
from leaseq.api.looks import outcome as outcome
from leaseq.api.looks import snapshot as snapshot
from leaseq.api.looks import task as task
from leaseq.api.looks import tasks as tasks
from leaseq.api.looks import wait as wait
from leaseq.api.looks import why as why
from leaseq.api.mapped import Results as Results
from leaseq.api.submitting import submit as submit
from leaseq.api.submitting import submit_array as submit_array
from leaseq.api.submitting import submit_many as submit_many
from leaseq.errors import LeaseqError as LeaseqError
from leaseq.models import Outcome as Outcome
from leaseq.models import State as State

__version__: str
API: dict[str, tuple[str, ...]]
__all__: list[str]
