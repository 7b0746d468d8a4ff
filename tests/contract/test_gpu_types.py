"""GPUs of two types on each node: a real Slurm only, for each version has its own way with them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.clusters import Cluster
from tests.contract.conftest import KIND, real, site_of
from tests.contract.site import Site

pytestmark = pytest.mark.skipif(KIND == "mock", reason="the mock's GPUs have one type")
TYPES = ("a100", "a100", "h100", "h100")


@pytest.fixture(scope="module")
def typed() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="lqg-") as name:
        yield from real(Path(name), "linuxproc", nodes=2, gpu_types=TYPES)


@pytest.fixture
def site(typed: Cluster) -> Iterator[Site]:
    yield from site_of(typed)


@pytest.mark.parametrize(
    ("words", "gpus"),
    [
        ("-N1 --gpus=a100:1,h100:2", ["0,2,3"]),
        ("-N2 --gpus=a100:2,h100:2", ["0,2", "0,2"]),
        ("-N2 --gpus=5", ["0,1,2,3", "0"]),
        ("-N2 --exclusive", ["0,1,2,3", "0,1,2,3"]),
        ("-N1 --exclusive --gres=gpu:a100:1", ["0,1,2,3"]),
        ("-N1 --gres=gpu:h100:1", ["2"]),
        ("-N1 --gres=gpu:3", ["0,1,2"]),
        ("-N1 --gpus-per-node=a100:1,h100:1", ["0,2"]),
        ("-N2 -n3 --gpus-per-task=a100:1", ["0,1", "0"]),
        ("-N2 -n4 --gpus-per-task=1", ["0,1,2", "0"]),
    ],
)
def test_runners_and_shells_have_what_their_node_was_granted(site: Site, words: str, gpus: list[str]) -> None:
    lease = site.add(*words.split())
    beats = site.beats(lease)
    assert [",".join(beats[node]["gpus"]) for node in site.nodes(lease)] == gpus  # type: ignore[arg-type]
    for node, tokens in zip(site.nodes(lease), gpus, strict=True):
        done = site.leaseq("shell", "--lease", lease, "--node", node, "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
        assert done.stdout.strip() == tokens, done.stderr
