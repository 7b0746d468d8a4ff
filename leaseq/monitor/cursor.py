"""What every cursor knows of."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.monitor.model import Ui, fresh_log
from leaseq.monitor.pane import Pane

FAR = 1 << 40
"""As many lines as there are."""
LISTS = (Pane.LEASES, Pane.NODES, Pane.TASKS)


def of_task(ui: Ui, task: str) -> Ui:
    """That task is selected; its output is shown from its end."""
    if task == ui.task:
        return ui
    return replace(fresh_log(ui), task=task, log_attempt=0)
