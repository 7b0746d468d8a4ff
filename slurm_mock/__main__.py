"""`python -IS __main__.py DIRECTORY COMMAND ARGUMENTS`: one command of the cluster in that directory."""

import importlib
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from slurm_mock.client import Client, Failure, version_text
from slurm_mock.cluster import Cluster
from slurm_mock.grammar import UsageError

USAGE_CODES = {"sbatch": 255, "srun": 255, "salloc": 255}


def main(directory: str, command: str, argv: list[str]) -> int:
    """The exit code."""
    if argv[:1] in (["-V"], ["--version"]):
        print(version_text())
        return 0
    try:
        client = Client(Cluster(directory), command)
        client.misbehave()
        run = importlib.import_module(f"slurm_mock.commands.{command}").main
        code: int = run(client, argv)
        sys.stdout.flush()
        return code
    except UsageError as error:
        print(error, file=sys.stderr)
        return USAGE_CODES.get(command, 1)
    except Failure as failure:
        return failure.code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    ended = main(sys.argv[1], sys.argv[2], sys.argv[3:])
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.flush()
    os._exit(ended)  # to take apart all that was imported is a fifth of a command's time
