#!/bin/sh
# Builds the wheel and the source archive, installs the wheel into a fresh environment far from the checkout,
# and uses it there: the version, the templates, a task run end to end. The mock of Slurm is no part of it.
set -eu
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work/dist" .
wheel=$(ls "$work"/dist/leaseq-*.whl)
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel"
cd "$work"
export LEASEQ_HOME="$work/home" LEASEQ_NODE_DIR="$work/node"
PATH="$work/venv/bin:$PATH"
leaseq --version
python -c "import leaseq, pathlib, sys; sys.exit(not pathlib.Path(leaseq.__file__).with_name('py.typed').is_file())"
! python -c 'import slurm_mock' 2>/dev/null || exit 1
for template in lease.sh.j2 node.sh.j2 allocation.sh.j2 words.sh.j2; do
    python -c "import leaseq, pathlib, sys; sys.exit(not (pathlib.Path(leaseq.__file__).parent / 'templates' / '$template').is_file())"
done
[ -f "$work/venv/share/man/man1/leaseq.1" ]
leaseq add --dry-run -- -N2 -t 10 | grep -q '^#SBATCH'
id=$(leaseq submit -- sh -c 'echo from a wheel')
leaseq wait --timeout 60 "$id"
[ "$(leaseq logs "$id")" = "from a wheel" ]
leaseq daemon stop
echo "wheel-check: $(basename "$wheel") works"
