#!/bin/sh
# The main job, live. On this host: tasks run, fail, are followed, cancelled, and survive kill -9 of the runner. On a
# Slurm of two nodes with two GPUs each, which slurm_mock plays here: a lease, tasks packed on its GPUs, a shell that
# outlives its terminal, the release, and a lease that goes on in the next job. Everything happens in a directory of its own, which is removed at the end.
# LEASEQ_DEMO_SLURM="-N2 -p gpu --gres=gpu:2 -t 10" asks this site's own Slurm instead, with those options.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
site=${LEASEQ_DEMO_SLURM:-}
# A site's nodes must see it; the node-local directory must be short, and /tmp is each node's own.
if [ -n "$site" ]; then work=$(mktemp -d "$HOME/leaseq-demo.XXXXXX"); else work=$(mktemp -d); fi
export LEASEQ_HOME="$work/home"
[ -n "$site" ] || export LEASEQ_NODE_DIR="$work/node"
unset LEASEQ_LEASE
mock="$here/slurm_mock/bin/mockslurm"
finish() {
    leaseq lease release --yes >/dev/null 2>&1 || true
    leaseq daemon stop --kill >/dev/null 2>&1 || true
    [ ! -d "$work/cluster" ] || "$mock" stop --dir "$work/cluster" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT
cd "$work"

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() {
    printf '$ leaseq %s\n' "$*"
    leaseq "$@"
}
# expect CODE WORDS: the command ends with that exit code, and says so.
expect() {
    wanted=$1
    shift
    code=0
    run "$@" || code=$?
    [ "$code" = "$wanted" ] || { echo "expected exit code $wanted, got $code" >&2; exit 1; }
    echo "(exit code $code)"
}

say "The first task starts the runner of this host."
good=$(leaseq submit --name hello -- sh -c 'for n in 1 2 3; do echo epoch $n; sleep 0.3; done')
echo "$good"
say "follow shows its output as it comes, and ends with its exit code."
expect 0 follow "$good"

say "A task that fails says how."
bad=$(leaseq submit -- sh -c 'echo no such data >&2; exit 3')
expect 3 wait "$bad"
run logs "$bad" --stderr

say "Tasks that name what they need are packed beside each other; one that names nothing has the node alone."
run submit --cpus 1 -- sleep 600
long=$(leaseq submit --cpus 1 --name long -- sh -c 'sleep 4; echo the true end')
run tasks

say "A running task is cancelled with every process it started."
first=$(leaseq tasks --state running --quiet | grep -v "$long" | head -n 1)
run cancel "$first"
expect 120 wait "$first"

say "kill -9 of the runner costs nothing: its tasks live on, and the next runner adopts them."
pid=$(leaseq daemon status --json | sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p' | head -n 1)
echo "\$ kill -9 $pid"
kill -9 "$pid"
run daemon start
expect 0 wait "$long"
run logs "$long"

say "Everything that happened, and nothing lost:"
run tasks
run status

if [ -z "$site" ]; then
    eval "$("$mock" start --dir "$work/cluster" --nodes node1,node2 --cpus 8 --gpus 2)"
    site="-N2 -p gpu --gres=gpu:2 -t 0:30:00"
fi
say "A lease: Slurm gives two nodes, and they stay."
# shellcheck disable=SC2086
run add --name demo -- $site </dev/null
say "Tasks of one GPU each are packed on the GPUs of both nodes; the fifth waits for one."
for n in 1 2 3 4 5; do
    leaseq submit --gpus 1 --name "train$n" -- sh -c 'echo $(hostname) has GPU $CUDA_VISIBLE_DEVICES; sleep 4' >>ids
done
until [ "$(leaseq tasks --state running --quiet | wc -l)" = 4 ]; do sleep 0.1; done
run tasks
run status

terminal() { "${PYTHON:-python3}" "$here/docs/terminal.py" "$@"; }
if command -v tmux >/dev/null; then
    say "A shell on the first node; then the connection is lost (kill -9 of the terminal)."
    terminal leaseq shell <<'END'
expect  main]
type mark=kept; echo "first:$mark"
expect first:kept
kill
END
    say "leaseq shell in another terminal: the same shell, as it was left."
    terminal leaseq shell <<'END'
expect  main]
type echo "again:$mark"
expect again:kept
type exit
end
END
else
    say "There is no tmux on this host: shells work, but end with their terminals (leaseq shell --plain)."
fi

say "The tasks have run, each with a GPU of its own, and the nodes are still held."
# shellcheck disable=SC2046
expect 0 wait $(cat ids)
for id in $(cat ids); do leaseq logs "$id"; done
run lease ls
say "The nodes are released; the records stay."
run lease release --yes
run tasks --lease demo

if [ -d "$work/cluster" ]; then
    say "A lease that outlives its jobs: the next is queued as one starts."
    run add --detach --name night -N1 -c 4 -p gpu -t 0:30:00 --keep 1d --idle 30m
    until leaseq lease ls | grep -q 'night.*next'; do sleep 0.2; done
    array=$(leaseq submit --lease night --cpus 2 --requeue -a 0-7 -- sh -c 'sleep 1; echo $(hostname)')
    until [ "$(leaseq tasks "$array" --state done --quiet | wc -l)" -ge 2 ]; do sleep 0.1; done
    run lease ls
    job=$(squeue -h -t RUNNING -o %i)
    say "Slurm ends the first job (scancel $job): what ran there runs again in the next, and the rest goes on."
    scancel "$job"
    expect 0 wait "$array"
    run tasks "$array"
    run lease info night
    say "Released: no job of it is left, queued or running."
    run lease release night --yes
    until [ -z "$(squeue -h)" ]; do sleep 0.1; done
fi
