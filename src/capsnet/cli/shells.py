"""Completion scripts for bash, zsh and fish. The scripts hold all words, so that completion does not start Python."""

import shlex
from collections.abc import Callable, Mapping, Sequence

from capsnet.cli.words import Flag, Slot, Verb


def to_bash(verbs: Sequence[Verb]) -> str:
    """The script for bash, from 3.2 on."""
    cases = "\n".join(_bash_verb(verb) for verb in verbs)
    return _BASH.replace("VERBS", " ".join(verb.name for verb in verbs)).replace("CASES", cases)


def _bash_verb(verb: Verb) -> str:
    flags = " ".join(flag.name for flag in verb.flags)
    return _case(verb, _assign, f"names={shlex.quote(flags)}")


def _case(verb: Verb, assign: Callable[[Slot], str], flags: str) -> str:
    """The case of one verb for bash and zsh; `flags` assigns its options, `assign` the words of a slot."""
    many = " ".join(flag.name for flag in verb.flags if flag.many)
    values = [f"{_pattern(flags_of_slot)}) {assign(slot)} ;;" for slot, flags_of_slot in _by_value(verb).items()]
    rest = f"-*) {flags} ;;\n*) {assign(verb.arguments)} ;;"
    inner = _indent("\n".join(values), 12)
    return f"""        {verb.name})
            [[ $last && {shlex.quote(f" {many} ")} == *" $last "* ]] && option=$last
            case $option in
{inner}
            *) case $cur in
{_indent(rest, 16)}
                esac ;;
            esac ;;"""


def _by_value(verb: Verb) -> dict[Slot, list[Flag]]:
    """Options that take a value, grouped by slot."""
    groups: dict[Slot, list[Flag]] = {}
    for flag in verb.flags:
        if flag.value is not None:
            groups.setdefault(flag.value, []).append(flag)
    return groups


def _pattern(flags: Sequence[Flag]) -> str:
    return "|".join(flag.name for flag in flags)


def _assign(slot: Slot) -> str:
    return f"names={shlex.quote(' '.join(slot.names))} paths={slot.paths or chr(39) * 2}"


def _indent(text: str, width: int) -> str:
    return "\n".join(" " * width + line for line in text.splitlines())


_BASH = """# completion of capsnet for bash, made by: capsnet completion bash
_capsnet() {
    local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]} last='' names='' paths='' word
    COMPREPLY=()
    # readline divides --data=mnist into three words
    if [[ $cur == = ]]; then
        cur=''
    elif [[ $option == = ]]; then
        option=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if [[ $option != -* && $cur != -* ]]; then
        for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
            [[ $word == -* ]] && last=$word
        done
    fi
    if (( COMP_CWORD == 1 )); then
        names='VERBS --help --version'
    else
        case ${COMP_WORDS[1]} in
CASES
        esac
    fi
    _capsnet_add() {
        while IFS= read -r word; do
            COMPREPLY+=("$word")
        done
    }
    _capsnet_add < <(compgen -W "$names" -- "$cur")
    if [[ $paths == runs ]]; then
        for word in runs/*/config.json; do
            word=${word%/config.json}
            [[ -d $word && $word == "$cur"* ]] && COMPREPLY+=("$word")
        done
    fi
    case $paths in
        folders) _capsnet_add < <(compgen -d -- "$cur") ;;
        files|runs) _capsnet_add < <(compgen -f -- "$cur") ;;
    esac
    [[ $paths ]] && compopt -o filenames 2>/dev/null
    return 0
}
complete -F _capsnet capsnet
"""


def to_zsh(verbs: Sequence[Verb]) -> str:
    """The script for zsh: sourced, or as the file `_capsnet` in a folder of `fpath`."""
    cases = "\n".join(_zsh_verb(verb) for verb in verbs)
    described = " ".join(_described(verb.name, verb.summary) for verb in verbs)
    return _ZSH.replace("VERBS", described).replace("CASES", cases)


def _zsh_verb(verb: Verb) -> str:
    flags = " ".join(_described(flag.name, flag.summary) for flag in verb.flags)
    return _case(verb, _zsh_assign, f"flags=({flags})")


def _zsh_assign(slot: Slot) -> str:
    return f"names=({' '.join(map(shlex.quote, slot.names))}) paths={slot.paths or chr(39) * 2}"


def _described(name: str, summary: str) -> str:
    return shlex.quote(f"{name}:{summary}")


_ZSH = """#compdef capsnet
# completion of capsnet for zsh, made by: capsnet completion zsh
_capsnet() {
    local cur=$words[CURRENT] option=$words[CURRENT-1] last='' paths='' word
    local -a names flags run_folders
    if (( CURRENT == 2 )); then
        flags=(VERBS)
        _describe -t commands command flags
        return
    fi
    if [[ $cur == --*=* ]]; then
        option=${cur%%=*} cur=${cur#*=}
        compset -P '*='
    elif [[ $option != -* && $cur != -* ]]; then
        for word in ${words[3,CURRENT-1]}; do
            [[ $word == -* ]] && last=$word
        done
    fi
    case $words[2] in
CASES
    esac
    (( $#flags )) && _describe -t options option flags -o
    (( $#names )) && compadd -- $names
    if [[ $paths == runs ]]; then
        run_folders=(runs/*/config.json(N:h))
        (( $#run_folders )) && compadd -- $run_folders
    fi
    case $paths in
        folders) _files -/ ;;
        files|runs) _files ;;
    esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _capsnet "$@"
else
    compdef _capsnet capsnet
fi
"""


def to_fish(verbs: Sequence[Verb]) -> str:
    """The script for fish."""
    lines = [_FISH]
    for verb in verbs:
        lines.append(f"complete -c capsnet -n __capsnet_first -a {verb.name} -d {_fish(verb.summary)}")
    for verb in verbs:
        start = f"complete -c capsnet -n '__capsnet_verb {verb.name}'"
        lines += [
            f"{start} -l {flag.name[2:]}{_fish_value(flag.value)} -d {_fish(flag.summary)}" for flag in verb.flags
        ]
        if verb.arguments != Slot():
            lines.append(f"{start} -a {_fish(_fish_words(verb.arguments))}")
    return "\n".join(lines) + "\n"


def _fish_value(slot: Slot | None) -> str:
    return "" if slot is None else f" -x -a {_fish(_fish_words(slot))}" if slot != Slot() else " -x"


def _fish_words(slot: Slot) -> str:
    paths = {"folders": "(__fish_complete_directories)", "files": "(__fish_complete_path)", "": ""}
    paths["runs"] = "(__capsnet_runs) (__fish_complete_path)"
    return " ".join([*slot.names, paths[slot.paths]]).strip()


def _fish(text: str) -> str:
    # single quotes, in which fish knows these two escapes only
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_FISH = """# completion of capsnet for fish, made by: capsnet completion fish
function __capsnet_first
    test (count (commandline -opc)) -eq 1
end
function __capsnet_verb
    set -l words (commandline -opc)
    test (count $words) -gt 1; and test $words[2] = $argv[1]
end
function __capsnet_runs
    for file in runs/*/config.json
        string replace -r '/config.json$' '' $file
    end
end
complete -c capsnet -f"""


SCRIPTS: Mapping[str, Callable[[Sequence[Verb]], str]] = {"bash": to_bash, "zsh": to_zsh, "fish": to_fish}
