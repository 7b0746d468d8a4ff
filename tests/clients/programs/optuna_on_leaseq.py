"""The recipe of docs/python.md: trials asked for here and run as tasks."""

import sys
from pathlib import Path

import optuna

import leaseq


def train(lr: float) -> float:
    return (lr - 0.01) ** 2


optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
recipe = Path(sys.argv[1]).read_text().replace("gpus=1", "cpus=1").replace("range(20)", "range(3)")
exec(recipe, {"leaseq": leaseq, "optuna": optuna, "study": study, "train": train})
values = [trial.value for trial in study.trials]
print(len(values), {trial.state.name for trial in study.trials}, study.best_value == min(values))
