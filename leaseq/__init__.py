"""leaseq: leases that outlive a session, and tasks that outlive everything else."""

from __future__ import annotations

__version__ = "0.1.0"
API = {
    "leaseq.api.backends": ("register_joblib",),
    "leaseq.api.executor": ("Executor",),
    "leaseq.api.attaching": ("future", "results"),
    "leaseq.api.submitting": ("submit", "submit_array", "submit_many"),
    "leaseq.api.looks": (
        *("details", "follow", "groups", "index_rows", "last_error", "lease_info", "leases", "log", "outcome"),
        *("snapshot", "task", "tasks", "wait", "why"),
    ),
    "leaseq.api.inquiries": ("diff", "doctor", "report", "settings", "triage"),
    "leaseq.api.acts": ("cancel", "change", "hold", "move", "recover", "redo", "release", "retry", "send_signal"),
    "leaseq.api.leases": ("clean", "hold_queue", "pause", "resume", "set_parallel", "ssh_config", "use_lease"),
    "leaseq.api.capacity": (
        *("add", "adopt_lease", "host_runner", "idle_lease", "keep_lease", "release_lease", "scale_lease", "scaling"),
        *("start_runner", "stop_runner", "wait_for_lease"),
    ),
    "leaseq.api.hooks": ("add_hook", "hooks", "remove_hook", "try_hook"),
    "leaseq.api.futures": ("Future",),
    "leaseq.api.mapped": ("Results",),
    "leaseq.api.errors": ("Lost", "RemoteError", "RemoteTraceback", "TaskFailed", "TaskTimeout"),
    "leaseq.errors": ("LeaseqError",),
    "leaseq.models": ("Outcome", "State"),
}
"""What `import leaseq` gives, by the module that has it: imported when it is first asked for."""
__all__ = ["__version__", *sorted(name for names in API.values() for name in names)]


def __getattr__(name: str) -> object:
    from importlib import import_module

    for module, names in API.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module 'leaseq' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
