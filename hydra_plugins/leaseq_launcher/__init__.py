"""hydra's launcher `leaseq`: the runs of a sweep are the indices of an array. hydra looks for launchers here.

It is hydra's launcher for submitit (`pip install hydra-submitit-launcher`) with leaseq's plugin of that; without it
there is none.
"""

from contextlib import suppress
from dataclasses import dataclass

with suppress(ImportError):
    from hydra.core.config_store import ConfigStore
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher

    class LeaseqLauncher(BaseSubmititLauncher):  # type: ignore[misc]
        """A sweep's runs as tasks of a lease."""

        _EXECUTOR = "leaseq"

    @dataclass
    class LeaseqConf(BaseQueueConf):  # type: ignore[misc]
        """What every launcher of submitit takes, and of the options of a task those that it lacks."""

        _target_: str = "hydra_plugins.leaseq_launcher.LeaseqLauncher"
        lease: str | None = None
        node: str | None = None
        group: str | None = None
        env: dict[str, str] | None = None
        retries: int = 0
        requeue: bool = False
        priority: int = 0
        array_parallelism: int = 0
        max_num_timeout: int = 0

    ConfigStore.instance().store(group="hydra/launcher", name="leaseq", node=LeaseqConf(), provider="leaseq")
