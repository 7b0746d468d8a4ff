"""The GPUs of a node: as its environment grants them, or as programs named like the drivers' on PATH list them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leaseq.heartbeat import GpuUse
from leaseq.node.gpus import amd
from leaseq.node.grant import CUDA, LEVEL_ZERO, ROCR, Gpus, from_environment, installed, parse_tokens, present
from leaseq.node.intel import Meter
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
def bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def says(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("visible", "tokens"),
    [
        ("0,1", ("0", "1")),
        (" 3 , GPU-8932 ,MIG-1/2", ("3", "GPU-8932", "MIG-1/2")),
        ("0.0,0.1,1", ("0.0", "0.1", "1")),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("1,-1,2", ("1",)),
        ("0,0,1", ("0",)),
    ],
)
@pytest.mark.parametrize("variable", [CUDA, ROCR, LEVEL_ZERO])
def test_tokens_are_kept_as_they_are_and_the_first_bad_one_ends_them(
    visible: str, tokens: tuple[str, ...], variable: str
) -> None:
    assert parse_tokens(visible) == tokens
    assert from_environment({variable: visible, "SLURM_JOB_ID": "7"}) == Gpus(tokens, variable)


def test_a_slurm_step_without_any_variable_has_no_gpus_and_says_so_where_it_was_granted_some() -> None:
    assert from_environment({"SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "0"}) == Gpus()
    said = from_environment({"SLURM_JOB_ID": "7", "SLURM_STEP_GPUS": "2,3"})
    assert said is not None
    assert (said.tokens, said.known) == ((), True)
    assert said.trouble.startswith("Slurm granted GPUs (2,3) and set none of CUDA_VISIBLE_DEVICES, ")
    assert from_environment({}) is None


@pytest.mark.parametrize(
    ("devices", "variable"), [(("nvidiactl",), CUDA), (("kfd",), ROCR), (("kfd", "nvidiactl"), CUDA), ((), CUDA)]
)
def test_where_slurm_has_set_all_vendors_variables_the_nodes_own_devices_tell(
    tmp_path: Path, devices: tuple[str, ...], variable: str
) -> None:
    (tmp_path / "dev").mkdir()
    for device in devices:
        (tmp_path / "dev" / device).touch()
    said = from_environment({CUDA: "0,1", ROCR: "0,1", "GPU_DEVICE_ORDINAL": "0,1"}, root=str(tmp_path))
    assert said == Gpus(("0", "1"), variable)


def test_a_host_has_the_cards_that_its_driver_lists_and_the_slices_of_one_in_mig_mode(bin: Path) -> None:
    says(
        bin / "nvidia-smi",
        """cat <<'END'
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 1g.5gb      Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-6e6ba0d6)
END""",
    )
    first, second = "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb"
    assert present()
    assert installed() == Gpus((first, second, "1"))


def test_a_lost_card_hides_no_other_and_is_told(bin: Path) -> None:
    lost = "Unable to determine the device handle for gpu 0000:41:00.0: Unknown Error"
    says(bin / "nvidia-smi", f"echo 'GPU 0: A (UUID: GPU-a)'; echo '{lost}'; echo 'GPU 2: A (UUID: GPU-b)'; exit 255")
    assert installed() == Gpus(("0", "2"), trouble=f"nvidia-smi: {lost}")


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("echo broken; exit 9", "nvidia-smi: broken"),
        ("exit 0", "nvidia-smi: it lists no GPU"),
        ("exec sleep 60", "nvidia-smi has not answered for 0 s"),
    ],
)
def test_a_driver_that_lists_nothing_leaves_the_gpus_unknown(bin: Path, script: str, trouble: str) -> None:
    says(bin / "nvidia-smi", script)
    found = installed(seconds_max=0.2 if "sleep" in script else 30)
    assert (found.tokens, found.known, found.trouble) == ((), False, trouble)


def test_a_driver_that_knows_of_no_device_is_known_to_have_none(bin: Path) -> None:
    says(bin / "nvidia-smi", "echo 'No devices were found'; exit 6")
    assert installed() == Gpus()


def amd_host(root: Path) -> str:
    """A host with one processor, two GPUs, and a third that this group was not given."""
    (root / "dev").mkdir()
    (root / "dev/kfd").touch()
    nodes = root / "sys/class/kfd/kfd/topology/nodes"
    gpus = ("simd_count 0", "simd_count 304\ndrm_render_minor 128", "", "simd_count 304\ndrm_render_minor 130")
    for number, lines in enumerate(gpus):
        (nodes / str(number)).mkdir(parents=True)
        if lines:
            (nodes / str(number) / "properties").write_text(f"cpu_cores_count 0\n{lines}\n")
    for minor, busy in ((128, 93), (130, 0)):
        device = root / f"sys/class/drm/renderD{minor}/device"
        (device / "hwmon/hwmon3").mkdir(parents=True)
        (device / "gpu_busy_percent").write_text(f"{busy}\n")
        (device / "mem_info_vram_used").write_text(f"{busy << 20}\n")
        (device / "mem_info_vram_total").write_text(f"{192 << 30}\n")
        (device / "hwmon/hwmon3/temp1_input").write_text("61000\n")
        sensor = "power1_average" if busy else "power1_input"
        (device / "hwmon/hwmon3" / sensor).write_text(f"{300 + busy}000000\n")
    return str(root)


def test_amds_cards_are_numbered_in_the_order_of_the_kernels_topology(tmp_path: Path) -> None:
    root = amd_host(tmp_path)
    assert present(root=root)
    assert installed(root=root) == Gpus(("0", "1"), ROCR)


def test_what_amds_cards_do_is_told_by_the_kernel(tmp_path: Path) -> None:
    first, second = amd(root=amd_host(tmp_path))
    assert (first.token, first.utilisation, first.mem_used_mb, first.mem_total_mb) == ("0", 93.0, 93.0, 196608.0)
    assert (second.token, second.utilisation, second.temperature_c) == ("1", 0.0, 61.0)
    assert (first.power_w, second.power_w) == (393.0, 300.0)


def test_intels_cards_are_those_that_its_tool_numbers(bin: Path) -> None:
    says(bin / "xpu-smi", DISCOVERY.replace("TILES", "1") + "esac")
    assert installed() == Gpus(("0", "1"), LEVEL_ZERO)


def test_intels_cards_are_not_known_while_one_is_not_told_of(bin: Path) -> None:
    says(
        bin / "xpu-smi", "case $* in *dump*) printf 'Device ID\\n0\\n1\\n';; *0) echo Device;; *) echo busy >&2;; esac"
    )
    assert installed() == Gpus((), LEVEL_ZERO, known=False, trouble="xpu-smi: busy")


DISCOVERY = """\
case "$*" in
"discovery --dump 1") printf 'Device ID\\n0\\n1\\n' ;;
"discovery -d "?) cat <<'END'
+-----------+--------------------------------------------------+
| 0         | Device Type: GPU                                 |
|           | Device Name: Intel(R) Data Center GPU Max 1550   |
|           | Memory Physical Size: 131072.00 MiB              |
|           | Number of Tiles: TILES                           |
END
;;
"""
"""What version 1 of xpu-smi says of two cards (its user guide), shortened."""


@pytest.mark.parametrize(("hierarchy", "tokens"), [("", ("0", "1", "2", "3")), ("COMPOSITE", ("0", "1"))])
def test_each_tile_of_intels_cards_is_a_gpu_unless_the_hierarchy_is_composite(
    bin: Path, monkeypatch: pytest.MonkeyPatch, hierarchy: str, tokens: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ZE_FLAT_DEVICE_HIERARCHY", hierarchy)
    says(bin / "xpu-smi", DISCOVERY.replace("TILES", "2") + "esac")
    assert installed() == Gpus(tokens, LEVEL_ZERO)


ROWS = """\
Timestamp, DeviceId, GPU Utilization (%), GPU Power (W), GPU Core Temperature (Celsius Degree), GPU Memory Used (MiB)
06:14:46.000,    0, 93.50, 314.61, 61.00, 1024.25
06:14:46.000,    1, N/A, , N/A, 24
"""


@pytest.mark.parametrize("once", ["-n 1", "--number 1"])
def test_what_intels_cards_do_is_told_by_both_versions_of_its_tool(bin: Path, once: str) -> None:
    dump = f""""dump -d -1 --metrics 0,1,3,18 {once}") cat <<'END'\n{ROWS}END\n;;\n"""
    refuses = "*) echo 'The following argument was not expected' >&2; exit 1 ;;\nesac"
    says(bin / "xpu-smi", DISCOVERY.replace("TILES", "1") + dump + refuses)
    meter = Meter()
    for _ in range(2):
        first, second = meter.measure(PATIENCE_SECONDS)
        name = "Intel(R) Data Center GPU Max 1550"
        assert first == GpuUse("0", "", name, 93.5, 1024.25, 131072.0, 61.0, 314.61)
        assert second == GpuUse("1", "", name, None, 24.0, 131072.0, None, None)


def test_a_card_of_two_tiles_says_nothing_of_either(bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = f"""dump*) cat <<'END'\n{ROWS}END\n;;\nesac"""
    says(bin / "xpu-smi", DISCOVERY.replace("TILES", "2") + dump)
    monkeypatch.delenv("ZE_FLAT_DEVICE_HIERARCHY", raising=False)
    assert Meter().measure(PATIENCE_SECONDS) == ()
    monkeypatch.setenv("ZE_FLAT_DEVICE_HIERARCHY", "composite")
    assert [use.power_w for use in Meter().measure(PATIENCE_SECONDS)] == [314.61, None]


def test_what_the_tool_says_instead_is_told(bin: Path) -> None:
    says(bin / "xpu-smi", "echo 'No device discovered'; exit 3")
    with pytest.raises(ValueError, match="No device discovered"):
        Meter().measure(PATIENCE_SECONDS)
