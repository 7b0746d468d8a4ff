"""What registers leaseq with libraries that have backends of others."""

from __future__ import annotations

from leaseq.errors import UsageError


def register_joblib() -> None:
    """joblib knows a backend `leaseq`, whose batches of calls are tasks; its parameters are the options of a task."""
    try:
        from joblib import register_parallel_backend

        from leaseq.api.joblib import LeaseqBackend
    except ImportError as error:
        raise UsageError(f"joblib cannot be imported: {error}", hint="`pip install joblib`, 1.3 or newer") from None
    register_parallel_backend("leaseq", LeaseqBackend)
