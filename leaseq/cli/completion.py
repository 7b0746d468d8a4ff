"""`leaseq completion`: a shell completes what is typed for leaseq."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command, Words
from leaseq.dataclass import dataclass
from leaseq.values import one_of

SCRIPTS = {
    "bash": r"""
_leaseq() {
    local word what tab=$'\t'
    COMPREPLY=()
    while IFS= read -r word; do
        what=${word#*"$tab"} word=${word%%"$tab"*}
        if [ -n "$word" ]; then
            COMPREPLY+=("$word")
        elif [ "$what" = directories ]; then
            compopt -o dirnames
        elif [ "$what" = files ]; then
            compopt -o default
        elif [ "${what##* }" -ge "$((COMP_CWORD - 1))" ] && [[ $2 != */* ]]; then
            COMPREPLY=($(compgen -c -- "$2"))
        else
            compopt -o default
        fi
    done < <(command leaseq _complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
}
complete -F _leaseq leaseq
""",
    "zsh": r"""
_leaseq() {
    local line word what
    local -a found
    for line in "${(@f)$(command leaseq _complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        what=${line#*$'\t'} word=${line%%$'\t'*}
        if [[ -n $word ]]; then
            found+=("${word//:/\\:}:$what")
        elif [[ $what == directories ]]; then
            _files -/
        elif [[ $what == files ]]; then
            _files
        elif [[ $what == command* ]]; then
            shift "$((${what#command } + 1))" words
            ((CURRENT -= ${what#command } + 1))
            _normal
        fi
    done
    ((${#found})) && _describe leaseq found
}
compdef _leaseq leaseq
""",
    "fish": r"""
function __leaseq_complete
    set -l words (commandline -opc)
    set -l now (commandline -ct)
    for line in (command leaseq _complete fish $words[2..] "$now" 2>/dev/null)
        set -l part (string split -m 1 \t -- $line)
        if test -n "$part[1]"
            echo $line
        else if test "$part[2]" = directories
            __fish_complete_directories "$now"
        else if test "$part[2]" = files
            __fish_complete_path "$now"
        else
            set -l skipped (string replace 'command ' '' -- $part[2])
            set -l rest $words[(math $skipped + 2)..]
            complete -C (string join ' ' -- (string escape -- $rest) "$now")
        end
    end
end
complete -c leaseq -f -a '(__leaseq_complete)'
""",
}
"""By shell, what it is to evaluate. It asks leaseq itself at each Tab, so it stays true when leaseq is renewed."""
LINES = {
    "bash": 'eval "$(leaseq completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(leaseq completion zsh)"    in ~/.zshrc, after compinit',
    "fish": "leaseq completion fish | source    in ~/.config/fish/config.fish",
}


@dataclass(frozen=True)
class Completion:
    """The script of a shell."""

    shell: str

    def __post_init__(self) -> None:
        one_of(self.shell, what="the shell", allowed=tuple(SCRIPTS))

    def perform(self, app: App) -> int:
        print(SCRIPTS[self.shell].strip())
        return 0


COMMAND = Command(
    usage="bash | zsh | fish",
    about="Prints what makes a shell complete commands, options, and the names of leases, nodes, groups and tasks:\n"
    + "\n".join(f"  {line}" for line in LINES.values()),
    make=Completion,
    words=Words("shell", "shell", least=1, most=1, ask="which shell?", hint="leaseq completion bash, zsh or fish"),
    examples=("leaseq completion bash",),
)
