"""Slurm's own words for what it refuses, by short names; verbatim from 22.05."""

WORDS = {
    "partition": "Invalid partition name specified",
    "nodes": "Node count specification invalid",
    "node_name": "Invalid node name specified",
    "feature": "Invalid feature specification",
    "time": "Requested time limit is invalid (missing or exceeds some limit)",
    "memory": "Requested node configuration is not available",
    "cpus_per_node": "Requested node configuration is not available",
    "config": "Requested node configuration is not available",
    "cpus": "More processors requested than permitted",
    "gres": "Invalid generic resource (gres) specification",
    "tres": "Invalid Trackable RESource (TRES) specification",
    "dependency": "Job dependency problem",
    "batch": "Job --batch option is invalid or not a subset of --constraints",
    "prefer": "Invalid preferred feature specification",
    "licenses": "Invalid license specification",
    "reservation": "Requested reservation is invalid",
    "array": "Invalid job array specification",
    "": "No error",
    "unsupported": "Not supported by slurm_mock",
    "job": "Invalid job id specified",
    "finished": "Job has already finished",
    "done": "Job/step already completing or completed",
    "pending": "Job is pending execution",
    "started": "Job is no longer pending execution",
    "access": "Access/permission denied",
    "disabled": "Requested operation is presently disabled",
    "busy": "Requested nodes are busy",
    "down": "Unable to contact slurm controller (connect failure)",
    "timeout": "Socket timed out on send/recv operation",
    "task_memory": "Memory required by task is not available",
}
# Lines that sbatch, salloc and srun print before the refusal.
HINTS = {
    "memory": "Memory specification can not be satisfied",
    "cpus_per_node": "CPU count per node can not be satisfied",
}
