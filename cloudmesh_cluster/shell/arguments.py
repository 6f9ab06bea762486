"""The words of one command, read by the grammar of the help.

``parse`` gives a dict for ``commands.run``. Its keys:

- ``"verb"``: such as ``"cluster create"``, ``"cloud up"`` or ``"cloud image build"``;
- the verb's positionals by name, ``"NAME"``, ``"ROLE"``, ``"FILE"``, ``"NODE"``: a str, or None
  where an optional one was left out. ``"NAME"`` of ``cluster delete``, ``"FILE"`` of
  ``cluster copy`` and ``"COMMAND"`` are lists;
- the verb's options by their long name, ``"--workers"``: a str or None, a bool for those without
  a value, a list for ``"--expect"`` and ``"--set"``.

Keys of other verbs are not there. docopt reads one verb's usage lines at a time, so that a mistake
is told in terms of that verb.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import takewhile
from typing import Any, NamedTuple

from cloudmesh_cluster.model.errors import UsageError
from cloudmesh_cluster.shell.output import FORMATS, known_format
from cloudmesh_cluster.shell.usage import USAGE

PROGRAM = "cm"
HELP = ("help", "--help", "-h")
# After how many positionals the words are COMMAND's, whatever they look like; the verb's own
# options may stand between those and COMMAND.
PLACES = {"cluster test": 1, "cluster ssh": 2}
# Options that people know by a letter of ssh's.
LETTERS = {"cluster ssh": {"-L": "--forward"}}
# docopt gives every word to what repeats, and has none left for what follows.
LAST = "FILE... TARGET"
# What --format may be where that is not a form of tables; the first is what is meant without it.
OWN_FORMATS = {"cluster inventory": ("ansible", "ssh", "hosts", "json")}


class Verb(NamedTuple):
    """One verb's part of the help."""

    name: str  # "cluster create"
    usage: str  # its lines, as in the help
    options: Mapping[str, bool]  # by long name, whether it takes a value
    described: str  # the lines that describe its options

    @property
    def noun(self) -> str:
        return self.name.split()[0]

    @property
    def word(self) -> str:
        return self.name.partition(" ")[2]

    @property
    def length(self) -> int:
        """How many words the name has."""
        return len(self.name.split())

    @property
    def positionals(self) -> list[str]:
        """``NAME``, ``[FILE]``, ``NAME...`` in the order of the usage line."""
        after = self.usage.split()[1 + self.length :]
        return [one for one in after if "--" not in one]

    @property
    def required(self) -> list[str]:
        """The options that must be given, as the usage line has them."""
        return [word for word in self.usage.split() if word.startswith("--")]

    @property
    def one_line(self) -> str:
        """The usage, as a next step."""
        return "usage: " + self.usage.strip()

    def repeats(self, option: str) -> bool:
        """Whether the option may be given more than once."""
        return any(
            one.startswith(f"[{option}=") and one.endswith("...") for one in self.usage.split()
        )

    @property
    def help(self) -> str:
        """The usage and the options of this verb alone; docopt reads it, and so do people."""
        options = f"\nOptions:\n{self.described}" if self.described else ""
        return f"Usage:\n{self.usage}{options}"


def verbs() -> dict[str, Verb]:
    """Every verb of the help, by name."""
    found = (_verb(usage) for usage in _blocks("Usage:", f"  {PROGRAM} "))
    return {verb.name: verb for verb in found}


def _verb(usage: str) -> Verb:
    words = usage.split()
    longs = [one.strip("[].").partition("=") for one in words if one.startswith(("[--", "--"))]
    options = {name: bool(equals) for name, equals, _ in longs if name != "--"}
    described = [block for block in _blocks("Options:", "  -") if _long(block) in options]
    name = " ".join(takewhile(lambda word: word.isalpha() and word.islower(), words[1:]))
    return Verb(name, usage, options, "".join(described))


def _blocks(title: str, start: str) -> list[str]:
    """The entries of a section of the help, each with the lines that continue it."""
    section = USAGE.split(f"\n{title}\n", 1)[1].split("\n\n", 1)[0]
    return [(start + block).rstrip("\n") + "\n" for block in f"\n{section}".split(f"\n{start}")[1:]]


def _long(block: str) -> str:
    return block.split()[0].partition("=")[0]


def help_of(words: Sequence[str]) -> str | None:
    """The help that the words ask for, ``create --help`` or ``help create``; None for none."""
    noun = [word for word in words[:1] if word not in HELP]
    rest = list(words[len(noun) :])
    if rest[:1] and rest[0] in HELP:
        return _topic([*noun, *rest[1:]])
    verb = verb_of(words)
    if verb and any(word in HELP[1:] for word in split(verb, list(words[verb.length :]))[0]):
        return verb.help
    return None


def verb_of(words: Sequence[str]) -> Verb | None:
    """The verb whose name the words begin with."""
    found = (one for one in verbs().values() if list(words[: one.length]) == one.name.split())
    return next(found, None)


def _topic(words: Sequence[str]) -> str:
    """The help of a verb, with or without its noun; of everything without a verb."""
    known = verbs()
    nouns = {verb.noun for verb in known.values()}
    found = [verb.help for verb in known.values() if words and _begins(verb, list(words), nouns)]
    if found or not words or list(words) in [[noun] for noun in nouns]:
        return "\n".join(found) or USAGE
    raise UsageError(f"no verb {words[-1]!r}; " + _nearest(words[-1], _first_words(known.values())))


def _begins(verb: Verb, words: list[str], nouns: set[str]) -> bool:
    """Whether a verb's name begins with these words, which may leave out its noun."""
    names = verb.word.split() if words[0] not in nouns else verb.name.split()
    return words == names[: len(words)] and words != [verb.noun]


def parse(words: Sequence[str]) -> dict[str, Any]:
    """The words of one command as a dict; UsageError says what is wrong with them."""
    verb = named(words)
    own, command = split(verb, list(words[verb.length :]))
    own = [_spelt_out(verb, word) for word in own]
    _refuse_mistakes(verb, own)
    import docopt  # here, because a mistake above needs none of it

    try:
        grammar = verb.help.replace(LAST, "FILE...")
        found = docopt.docopt(grammar, [*verb.name.split(), *own], help=False)
    except docopt.DocoptExit as error:
        raise UsageError(f"{verb.word}: these words do not fit", verb.one_line) from error
    skipped = (*verb.name.split(), "--")
    arguments = {key: value for key, value in found.items() if key not in skipped}
    if LAST in verb.usage:
        *arguments["FILE"], arguments["TARGET"] = arguments["FILE"]
    if "COMMAND" in arguments:
        arguments["COMMAND"] = command
    if "--format" in arguments:
        formats = OWN_FORMATS.get(verb.name, FORMATS)
        given = formats[0] if arguments["--format"] is None else arguments["--format"]
        arguments["--format"] = known_format(given, formats)
    return {"verb": verb.name, **arguments}


def named(words: Sequence[str]) -> Verb:
    """The verb that the first words name; UsageError suggests the nearest."""
    known = verbs()
    noun, word = [*words, "", ""][:2]
    nouns = dict.fromkeys(verb.noun for verb in known.values())
    if noun not in nouns:
        raise UsageError(f"no command {noun!r}; " + _instead_of_noun(noun, list(nouns), known))
    found = verb_of(words)
    if found:
        return found
    of_noun = [verb for verb in known.values() if verb.noun == noun]
    longer = [verb.word for verb in of_noun if verb.word.startswith(f"{word} ")]
    if longer:
        given = " ".join(one for one in words[1:3] if not _is_option(one))
        hint = _nearest(given, longer) if given != word else _all(longer)
        raise UsageError(f"no verb {given!r}; {hint}")
    raise UsageError(f"no verb {word!r}; " + _nearest(word, _first_words(of_noun)))


def _instead_of_noun(word: str, nouns: list[str], known: Mapping[str, Verb]) -> str:
    for name, verb in known.items():
        if verb.word == word:
            return f"did you mean {PROGRAM} {name}?"
    return _nearest(word, nouns)


def _nearest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, 1)
    if near:
        return f"did you mean {near[0]}?"
    return _all(known)


def _first_words(verbs: Iterable[Verb]) -> list[str]:
    return list(dict.fromkeys(verb.word.split()[0] for verb in verbs))


def _all(known: Sequence[str]) -> str:
    if len(known) == 1:
        return f"there is {known[0]}"
    return f"there are {', '.join(known[:-1])} and {known[-1]}"


def split(verb: Verb, words: list[str]) -> tuple[list[str], list[str]]:
    """The verb's own words, and those of COMMAND, which are kept as they are."""
    places = PLACES.get(verb.name)
    if places is None:
        return words, []
    seen = at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return words[:at], words[at + 1 :]
        if not _is_option(word):
            seen += 1
            if seen > places:
                return words[:at], words[at:]
        elif seen == places and not _is_own(verb, word):
            return words[:at], words[at:]
        at += 2 if wants_next(verb, word) else 1
    return words, []


def _spelt_out(verb: Verb, word: str) -> str:
    """An option's letter as its name: ``-L`` alone, or with its value at once."""
    for letter, name in LETTERS.get(verb.name, {}).items():
        if word.startswith(letter):
            return f"{name}={word[len(letter) :]}" if word != letter else name
    return word


def _is_own(verb: Verb, word: str) -> bool:
    """Whether an option is the verb's, not COMMAND's; ``test`` takes none but its own."""
    return verb.name == "cluster test" or _spelt_out(verb, word).partition("=")[0] in verb.options


def positionals(verb: Verb, words: Sequence[str]) -> list[str]:
    """Those of the verb's own words that are no option, nor the value of one."""
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        if not _is_option(word):
            found.append(word)
        elif wants_next(verb, word):
            next(rest, None)
    return found


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"


def wants_next(verb: Verb, word: str) -> bool:
    """Whether an option's value is the word after it: ``--role worker``."""
    name = LETTERS.get(verb.name, {}).get(word, word)
    return "=" not in word and verb.options.get(name, False)


def _refuse_mistakes(verb: Verb, words: list[str]) -> None:
    """Say what docopt would not: which word is wrong, and what stands near it."""
    positionals: list[str] = []
    seen: set[str] = set()
    rest = iter(words)
    for word in rest:
        if not _is_option(word):
            positionals.append(word)
            continue
        name = _known_option(verb, word)
        if name in seen and not verb.repeats(name):
            raise UsageError(f"{verb.word}: {name} is given twice")
        if wants_next(verb, word) and next(rest, None) is None:
            raise UsageError(f"{verb.word}: {name} needs a value", verb.one_line)
        seen.add(name)
    _refuse_count(verb, positionals)
    missing = [one for one in verb.required if one.partition("=")[0] not in seen]
    if missing:
        raise UsageError(f"{verb.word}: {missing[0]} is missing", verb.one_line)


def _known_option(verb: Verb, word: str) -> str:
    name, equals, _ = word.partition("=")
    if name not in verb.options:
        hint = _nearest(name, list(verb.options)) if verb.options else "it takes none"
        raise UsageError(f"{verb.word} has no option {name}; {hint}")
    if equals and not verb.options[name]:
        raise UsageError(f"{verb.word}: {name} takes no value")
    return name


def _refuse_count(verb: Verb, given: list[str]) -> None:
    wanted = [one for one in verb.positionals if "COMMAND" not in one]
    required = [one.removesuffix("...") for one in wanted if not one.startswith("[")]
    missing = required[len(given) :]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise UsageError(f"{verb.word}: {' and '.join(missing)} {are} missing", verb.one_line)
    repeats = any(one.endswith("...") for one in wanted)
    if len(given) > len(wanted) and not repeats:
        raise UsageError(f"{verb.word}: one word too many: {given[len(wanted)]!r}", verb.one_line)
