#!/bin/sh
# The main job, live: tasks run, fail, are followed, cancelled, and survive kill -9 of the runner.
# Everything happens in a directory of its own, which is removed at the end.
set -eu
work=$(mktemp -d)
export LEASEQ_HOME="$work/home" LEASEQ_NODE_DIR="$work/node"
trap 'leaseq daemon stop --kill >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
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
