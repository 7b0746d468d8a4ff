"""simple_slurm: an array, and a job that comes after it."""

from simple_slurm import Slurm

array = Slurm(array=range(3, 12, 4), job_name="simple", cpus_per_task=1, output="simple-%A_%a.out")
first = array.sbatch("echo task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT", verbose=False)
after = Slurm(dependency={"afterok": first}, output="after.out")
after.sbatch("echo after", verbose=False)
print(first)
