"""An argv or an `#SBATCH` line and the options it spells, as getopt_long of the real commands reads them.

A table is text: one word per option, `name|alias:letter`, ending in `=` (takes a value), `?` (may take one, glued or
after `=`) or nothing (a flag). Long names may be shortened while they stay unique.
"""

import shlex

_REQUEST = """
account:A= acctg-freq= batch= bb= bbf= begin:b= cluster-constraint= clusters:M= comment= constraint:C= contiguous
container= core-spec:S= cores-per-socket= cpu-freq= cpus-per-gpu= cpus-per-task:c= deadline= delay-boot= dependency:d=
chdir:D= exclude:x= exclusive? extra-node-info:B= get-user-env? gid= gpu-bind= gpu-freq= gpus:G= gpus-per-node=
gpus-per-socket= gpus-per-task= gres= gres-flags= help:h hint= hold:H job-name:J= licenses:L= mail-type= mail-user=
mcs-label= mem= mem-bind= mem-per-cpu= mem-per-gpu= mincpus= network= nice? no-kill:k? nodefile:F= nodelist:w= nodes:N=
ntasks:n= ntasks-per-core= ntasks-per-gpu= ntasks-per-node= ntasks-per-socket= overcommit:O oversubscribe:s
partition:p= power= prefer= priority= profile= qos:q= quiet:Q reboot reservation= signal= sockets-per-node=
spread-job switches= thread-spec= threads-per-core= time:t= time-min= tmp= uid= usage use-min-nodes verbose:v
version:V wckey= distribution:m=
"""
_FILES = "error:e= input:i= output:o= open-mode= export= "

SBATCH = (
    _REQUEST
    + _FILES
    + """
array:a= export-file= ignore-pbs kill-on-invalid-dep= no-requeue parsable propagate? requeue test-only
wait:W wait-all-nodes= wrap=
"""
)
SRUN = (
    _REQUEST
    + _FILES
    + """
accel-bind= bcast? compress? cpu-bind= disable-status:X epilog= exact het-group= immediate:I? jobid=
kill-on-bad-exit:K? label:l mpi= msg-timeout= multi-prog no-allocate:Z overlap preserve-env:E prolog= propagate?
pty? quit-on-interrupt:q relative:r= resv-ports? slurmd-debug= task-epilog= task-prolog= threads:T= unbuffered:u
wait:W= whole interactive send-libs?
"""
).replace("qos:q=", "qos=")
SALLOC = _REQUEST + "bell immediate:I? kill-command:K? no-bell no-shell wait-all-nodes= x11?"
SQUEUE = """
account:A= all:a array:r array-unique clusters:M= federation format:o= Format:O= help hide iterate:i= job|jobs:j=
json? local long:l licenses:L= me name:n= noconvert nodelist:w= noheader:h partition|partitions:p= priority:P qos:q=
reservation:R= sibling sort:S= start state|states:t= step|steps:s? user|users:u= usage verbose:v version:V yaml?
"""
SCANCEL = """
account:A= batch:b ctld full:f help hurry:H interactive:i name|jobname:n= me nodelist:w= partition:p= qos:q= quiet:Q
reservation:R= sibling= signal:s= state:t= user:u= usage verbose:v version:V wckey=
"""
SCONTROL = """
all:a clusters:M= details:d exact:e federation:F future help:h hide local:L oneliner:o quiet:Q sibling uid:u= usage
verbose:v version:V
"""
SINFO = """
all:a clusters:M= dead:d exact:e federation format:o= Format:O= help hide iterate:i= json? local long:l Node:N
nodes:n= noconvert noheader:h partition:p= reservation:T responding:r list-reasons:R sort:S= state|states:t=
summarize:s usage verbose:v version:V yaml?
"""


class UsageError(Exception):
    """Lines for stderr; the caller adds the exit code (255 for sbatch, srun, salloc; 1 for the others)."""


def _table(text: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """(long name -> kind, letter -> long name, alias -> long name); kind is "", "=" or "?"."""
    kinds: dict[str, str] = {}
    letters: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for word in text.split():
        spelled, _, letter = word.rstrip("=?").partition(":")
        name, *others = spelled.split("|")
        kinds[name] = word[-1] if word[-1] in "=?" else ""
        aliases |= dict.fromkeys([name, *others], name)
        if letter:
            letters[letter] = name
    return kinds, letters, aliases


class Parser:
    """One pass over an argv; `options` keeps the last value of each, in canonical long names, "" for a flag."""

    def __init__(self, command: str, table: str) -> None:
        self.command = command
        self.kinds, self.letters, self.aliases = _table(table)

    def parse(self, argv: list[str], *, interspersed: bool = False) -> tuple[dict[str, str], list[str]]:
        """(options, what follows them). Options end at the first word that is none, unless interspersed."""
        options: dict[str, str] = {}
        rest: list[str] = []
        words = list(argv)
        while words:
            word = words.pop(0)
            if word == "--":
                return options, rest + words
            if word.startswith("--"):
                self._long(word[2:], words, options)
            elif word.startswith("-") and len(word) > 1:
                self._short(word[1:], words, options)
            elif interspersed:
                rest.append(word)
            else:
                return options, [word, *words]
        return options, rest

    def _long(self, text: str, words: list[str], options: dict[str, str]) -> None:
        given, equals, value = text.partition("=")
        name = self._full_name(given)
        kind = self.kinds[name]
        if equals and not kind:
            raise UsageError(self._hint(f"option '--{name}' doesn't allow an argument"))
        if kind == "=" and not equals:
            if not words:
                raise UsageError(self._hint(f"option '--{name}' requires an argument"))
            value = words.pop(0)
        options[name] = value

    def _full_name(self, given: str) -> str:
        if given in self.aliases:
            return self.aliases[given]
        spelled = [name for name in self.aliases if name.startswith(given)]
        names = {self.aliases[name] for name in spelled}
        if len(names) > 1:
            shown = " ".join(f"'--{name}'" for name in sorted(spelled))
            raise UsageError(self._hint(f"option '--{given}' is ambiguous; possibilities: {shown}"))
        if not names:
            raise UsageError(self._hint(f"unrecognized option '--{given}'"))
        return names.pop()

    def _short(self, text: str, words: list[str], options: dict[str, str]) -> None:
        while text:
            letter, text = text[0], text[1:]
            name = self.letters.get(letter)
            if name is None:
                raise UsageError(self._hint(f"invalid option -- '{letter}'"))
            kind = self.kinds[name]
            value = text if kind else ""
            if kind == "=" and not text:
                if not words:
                    raise UsageError(self._hint(f"option requires an argument -- '{letter}'"))
                value = words.pop(0)
            options[name] = value
            if kind:
                return

    def _hint(self, message: str) -> str:
        return f'{self.command}: {message}\nTry "{self.command} --help" for more information'


def directives(script: str, prefix: str = "#SBATCH") -> list[str]:
    """The words of the script's directives up to its first command.

    Measured: `#SBATCH -t` on one line and `#SBATCH 7` on the next are one option; a word that no option takes is
    refused by the caller as "Invalid directive found in batch script".
    """
    words: list[str] = []
    for line in script.splitlines()[1:]:
        stripped = line.strip()
        if stripped.startswith(prefix) and stripped[len(prefix) :][:1].isspace():
            words += shlex.split(stripped[len(prefix) :], comments=True)
        elif stripped and not stripped.startswith("#"):
            break
    return words


def from_environment(environ: dict[str, str], prefix: str, parser: Parser) -> dict[str, str]:
    """The options that PREFIX_* variables set, e.g. SBATCH_PARTITION, SBATCH_TIMELIMIT, SBATCH_EXCLUSIVE."""
    names = {name.upper().replace("-", "_"): name for name in parser.kinds}
    names["TIMELIMIT"] = "time"
    names["MEM_PER_NODE"] = "mem"
    options = {}
    for variable, value in environ.items():
        name = names.get(variable[len(prefix) :]) if variable.startswith(prefix) else None
        if name in parser.kinds and name not in ("help", "version", "wrap", "chdir", "nodes", "ntasks"):
            options[name] = value if parser.kinds[name] else ""
    return options
