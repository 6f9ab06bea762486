"""What can follow the words that were typed so far, for the TAB key of bash, zsh and fish.

It is read from the help at the moment of the key, so that nothing can fall behind the help. A
shell has a few lines that ask ``cm completion words`` and show what comes: a line for each word,
with what it means behind a TAB, or FILES where the shell shall name files itself. No cloud is
asked; clusters and nodes are those of the workspaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cloudmesh_cluster.model.cluster import ROLES
from cloudmesh_cluster.model.errors import ClusterError
from cloudmesh_cluster.shell import arguments
from cloudmesh_cluster.shell.arguments import Verb
from cloudmesh_cluster.shell.output import FORMATS
from cloudmesh_cluster.shell.usage import USAGE

if TYPE_CHECKING:
    from cloudmesh_cluster.shell.environment import Environment

FILES = ":files"
GLUE = ("=", ":")  # where bash cuts words
OF_FILES = ("FILE", "SPEC", "TARGET")


class Word(NamedTuple):
    """A word that can follow, and what it means."""

    text: str
    meaning: str = ""


def lines(typed: Sequence[str], environment: Environment) -> list[str]:
    """A line for each word that can stand where the last of these has begun, perhaps empty."""
    words, apart = _glued(typed or [""])
    following = _following(words[:-1], words[-1], environment)
    if any(one.text == FILES for one in following):
        return [FILES]
    return [
        "\t".join(part for part in (one.text[apart:], one.meaning) if part)
        for one in following
        if one.text.startswith(words[-1])
    ]


def _glued(typed: Sequence[str]) -> tuple[list[str], int]:
    """The words as they were before bash cut them, and how long the part of the last one is that
    bash does not ask for again."""
    words: list[str] = []
    apart = 0
    for before, word in zip(["", *typed], typed, strict=False):
        if words and (word in GLUE or before in GLUE):
            words[-1] += word
            apart = len(words[-1]) if word in GLUE else len(words[-1]) - len(word)
        else:
            words.append(word)
            apart = 0
    return words, apart


def _following(given: list[str], begun: str, environment: Environment) -> Sequence[Word]:
    """All words that can follow, whatever has begun already of the one that does."""
    verb = arguments.verb_of(given)
    if verb is None:
        return _names(given)
    own = given[verb.length :]
    option, equals, _ = begun.partition("=")
    if "--" in own or arguments.split(verb, own)[1]:
        return []  # a command of the nodes'
    if own and arguments.wants_next(verb, own[-1]):
        return _values(verb, own[-1], own, environment)
    if equals and verb.options.get(option):
        found = _values(verb, option, own, environment)
        return [Word(one.text if one.text == FILES else f"{option}={one.text}") for one in found]
    if begun.startswith("-"):
        return _options(verb, own)
    places = [one for one in verb.positionals if "COMMAND" not in one]
    at = len(arguments.positionals(verb, own))
    if places and (at < len(places) or places[-1].endswith("...") or "FILE..." in places):
        place = places[min(at, len(places) - 1)].strip("[].")
        return _things(verb, place, own, environment)
    return [] if "COMMAND" in verb.usage else _options(verb, own)


# ---- verbs and options ---------------------------------------------------------------------------


def _names(given: Sequence[str]) -> Sequence[Word]:
    """The next words of the names of verbs; ``help`` takes them as well."""
    if given[:1] == ["help"] or given[1:2] == ["help"]:
        given = [one for one in given if one != "help"]
        helps = []
    else:
        helps = [Word("help", "Tell how a verb is used")] if len(given) < 2 else []
    names = [verb.name.split() for verb in arguments.verbs().values()]
    at = len(given)
    known = dict.fromkeys(one[at] for one in names if one[:at] == [*given] and len(one) > at)
    told = meanings() if at < 2 else {}  # the help has none for the list of cloud image
    return [*(Word(one, told.get(one, "")) for one in known), *helps] if known else []


def _options(verb: Verb, own: Sequence[str]) -> Sequence[Word]:
    """The options that are not there yet, and those that may be repeated."""
    seen = {one.partition("=")[0] for one in own}
    return [
        Word(f"{name}=" if takes_value else name, meanings().get(name, ""))
        for name, takes_value in verb.options.items()
        if name not in seen or verb.repeats(name)
    ]


def meanings() -> dict[str, str]:
    """By verb and by option, what the help says of it."""
    found = re.findall(r"^  (--[a-z-]+|[a-z]+)\S* +(\S.*(?:\n {13,}\S.*)*)", USAGE, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


# ---- what stands for a word in capitals ----------------------------------------------------------


def _values(
    verb: Verb, option: str, own: Sequence[str], environment: Environment
) -> Sequence[Word]:
    """What an option can be given."""
    match = re.search(rf"{option}=([A-Z]+)", verb.usage)
    found = _things(verb, match[1] if match else "", own, environment)
    return [*found, Word("all")] if option == "--role" else found


def _things(verb: Verb, what: str, own: Sequence[str], environment: Environment) -> Sequence[Word]:
    """The words that the help's word in capitals can stand for, as far as this machine knows."""
    if what in OF_FILES:
        return [Word(FILES)]
    return [Word(one) for one in _known(verb, what, own, environment)]


def _known(verb: Verb, what: str, own: Sequence[str], environment: Environment) -> Iterable[str]:
    match what, verb.name:
        case "ROLE", _:
            return ROLES
        case "FORMAT", name:
            return arguments.OWN_FORMATS.get(name, FORMATS)
        case ("PRODUCT", _) | ("NAME", "cluster products"):
            return _products(environment)
        case "NAME", name if name.startswith("cluster "):
            return _clusters(environment)
        case (("NODE" | "NODES"), _):
            return _nodes(arguments.positionals(verb, own), environment)
    return ()


def _products(environment: Environment) -> Iterable[str]:
    from cloudmesh_cluster import products

    try:
        return products.products(products.folders(environment.products_folder))
    except ClusterError:  # one of the user's own; the command will say what is wrong with it
        return ()


def _clusters(environment: Environment) -> Iterable[str]:
    from cloudmesh_cluster.model.spec import NAME, RESERVED

    folder = environment.clusters
    names = [one.name for one in folder.iterdir() if one.is_dir()] if folder.is_dir() else []
    return sorted(one for one in names if NAME.fullmatch(one) and one != RESERVED)


def _nodes(given: Sequence[str], environment: Environment) -> Iterable[str]:
    name = given[0] if given else ""
    if name not in _clusters(environment):
        return ()
    access = environment.workspace(name).access()
    return [one.name.removeprefix(f"{name}-") for one in access.targets] if access else ()


# ---- the shells ----------------------------------------------------------------------------------

BASH = r"""_cm_completion() {
    local word
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        if [[ $word == :files ]]; then
            compopt -o default 2>/dev/null
        else
            COMPREPLY+=("$word")
            if [[ $word == *= ]]; then compopt -o nospace 2>/dev/null; fi
        fi
    done < <("$1" completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _cm_completion cm cm-cluster
"""

ZSH = r"""#compdef cm cm-cluster
_cm() {
    local line word
    local -a whole begun
    for line in "${(@f)$("${words[1]}" completion words "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        word=${line%%$'\t'*}
        case $word in
            '') continue ;;
            :files) compset -P '--*='; _files; return ;;
        esac
        line=${word//:/\\:}${${line#$word}/#$'\t'/:}
        if [[ $word == *= ]]; then begun+=("$line"); else whole+=("$line"); fi
    done
    _describe -t words word whole
    _describe -t options option begun -S ''
}
if [[ ${funcstack[1]} == _cm ]]; then _cm "$@"; else compdef _cm cm cm-cluster; fi
"""

FISH = r"""function __cm_completion
    set -l typed (commandline -opc) (commandline -ct)
    set -l program $typed[1]
    set -e typed[1]
    set -l begun "$typed[-1]"
    for line in ($program completion words $typed 2>/dev/null)
        if test "$line" = :files
            set -l option (string match -r -- '^--[^=]*=' $begun)
            set -l files (__fish_complete_path (string replace -- "$option" '' $begun))
            string replace -r -- '^' "$option" $files
        else
            echo $line
        end
    end
end
complete -c cm -f -a '(__cm_completion)'
complete -c cm-cluster -f -a '(__cm_completion)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
