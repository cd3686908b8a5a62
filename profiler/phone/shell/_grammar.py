"""Reads shell text into commands: quotes, expansions, redirections, pipes, lists, groups and background jobs.

Not read: loops, conditions, functions, here-documents, arithmetic and backquotes.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_TEXT_CHARS = 1 << 20
_MAX_DEPTH = 30
_BLANK = " \t"
_ENDS_WORD = " \t\n;&|<>()"
_NAME_START = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_NAME = _NAME_START + "0123456789"
_SPECIAL = "?$!#@*0123456789"
_RESERVED = frozenset(
    ("if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function")
)


class ShellSyntaxError(Exception):
    """Text that is no command of this shell."""


@dataclass(frozen=True)
class Literal:
    """Characters as they are; quoted ones are not patterns."""

    text: str
    quoted: bool


@dataclass(frozen=True)
class Variable:
    """The value of a variable; unquoted it is split into words."""

    name: str
    quoted: bool


@dataclass(frozen=True)
class Substitution:
    """What commands print; unquoted it is split into words."""

    script: Script
    quoted: bool


Word = tuple[Literal | Variable | Substitution, ...]


@dataclass(frozen=True)
class Redirect:
    """A stream of a command that goes elsewhere: `fd` `operator` `target`."""

    fd: int
    operator: str
    target: Word


@dataclass(frozen=True)
class Simple:
    """A command with its arguments, and variables set for it."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True)
class Group:
    """Commands in parentheses or braces."""

    script: Script
    subshell: bool
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True)
class Pipeline:
    """Commands of which each reads what the one before it prints."""

    commands: tuple[Simple | Group, ...]
    negated: bool


@dataclass(frozen=True)
class Item:
    """Pipelines joined by && and ||, perhaps in the background; operators[i] stands before pipelines[i + 1]."""

    pipelines: tuple[Pipeline, ...]
    operators: tuple[str, ...]
    background: bool


Script = tuple[Item, ...]


def parse(text: str) -> Script:
    """Return the commands of a text.

    Raises:
        ShellSyntaxError: It is not in this grammar, or too large or deep.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise ShellSyntaxError("command is too long")
    reader = _Reader(text)
    script = reader.script("")
    if not reader.at_end():
        raise ShellSyntaxError(f"unexpected '{reader.peek()}'")
    return script


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._place, self._depth = text, 0, 0

    def peek(self, length: int = 1) -> str:
        return self._text[self._place : self._place + length]

    def at_end(self) -> bool:
        return self._place >= len(self._text)

    def script(self, end: str) -> Script:
        """Read commands up to a closing character, which is left; "" for the end of the text."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ShellSyntaxError("nested too deep")
        items: list[Item] = []
        while True:
            self._skip(_BLANK + "\n;" if items else _BLANK + "\n")
            if self.at_end() or (end and self.peek() == end):
                break
            if self.peek() == ")":
                raise ShellSyntaxError("unexpected ')'")
            items.append(self._item())
        self._depth -= 1
        return tuple(items)

    def _item(self) -> Item:
        pipelines, operators = [self._pipeline()], []
        while self.peek(2) in ("&&", "||"):
            operators.append(self._take(2))
            self._skip(_BLANK + "\n")
            pipelines.append(self._pipeline())
        background = self.peek() == "&"
        if background or self.peek() in (";", "\n"):
            self._take(1)
        return Item(tuple(pipelines), tuple(operators), background)

    def _pipeline(self) -> Pipeline:
        self._skip(_BLANK)
        negated = self.peek(2) == "! "
        if negated:
            self._take(2)
        commands = [self._command()]
        while self.peek() == "|" and self.peek(2) != "||":
            self._take(1)
            self._skip(_BLANK + "\n")
            commands.append(self._command())
        return Pipeline(tuple(commands), negated)

    def _command(self) -> Simple | Group:
        self._skip(_BLANK)
        opening = self.peek()
        if opening == "(" or (opening == "{" and self.peek(2)[1:] in (" ", "\n")):
            self._take(1)
            closing = ")" if opening == "(" else "}"
            script = self.script(closing)
            if self.peek() != closing:
                raise ShellSyntaxError(f"missing '{closing}'")
            self._take(1)
            return Group(script, opening == "(", self._redirects_after_group())
        return self._simple()

    def _redirects_after_group(self) -> tuple[Redirect, ...]:
        found = []
        while redirect := self._redirect():
            found.append(redirect)
        return tuple(found)

    def _simple(self) -> Simple:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            if redirect := self._redirect():
                redirects.append(redirect)
                continue
            if self.at_end() or self.peek() in "\n;&|()":
                break
            if not words and (name := self._assigned_name()):
                assignments.append((name, self._word()))
            else:
                words.append(self._word())
                self._refuse_reserved(words)
        if not (assignments or words or redirects):
            shown = "newline" if self.peek() in ("", "\n") else self.peek()
            raise ShellSyntaxError(f"unexpected '{shown}'")
        return Simple(tuple(assignments), tuple(words), tuple(redirects))

    @staticmethod
    def _refuse_reserved(words: list[Word]) -> None:
        """Refuse what would be half run as if its words were commands."""
        match words:
            case [(Literal(text, False),)] if text in _RESERVED:
                raise ShellSyntaxError(f"'{text}' is not known here")

    def _assigned_name(self) -> str | None:
        """Take `name=` if it stands here."""
        end = self._place
        while end < len(self._text) and self._text[end] in _NAME:
            end += 1
        name = self._text[self._place : end]
        if name and name[0] in _NAME_START and self._text[end : end + 1] == "=":
            self._place = end + 1
            return name
        return None

    def _redirect(self) -> Redirect | None:
        self._skip(_BLANK)
        digit = self.peek() if self.peek(2)[1:] in ("<", ">") and self.peek().isdigit() else ""
        symbol = self._text[self._place + len(digit) : self._place + len(digit) + 2]
        operator = symbol if symbol in (">>", ">&", "<&") else symbol[:1]
        if operator not in (">", ">>", "<", ">&", "<&"):
            return None
        if symbol == "<<":
            raise ShellSyntaxError("here-documents are not known here")
        self._take(len(digit) + len(operator))
        self._skip(_BLANK)
        return Redirect(int(digit) if digit else (0 if operator[0] == "<" else 1), operator, self._word())

    def _word(self) -> Word:
        parts: list[Literal | Variable | Substitution] = []
        while not self.at_end() and self.peek() not in _ENDS_WORD:
            parts.extend(self._part())
        return tuple(parts)

    def _part(self) -> list[Literal | Variable | Substitution]:
        match self.peek():
            case "'":
                return [Literal(self._until_quote(), quoted=True)]
            case '"':
                return self._double_quoted()
            case "\\":
                self._take(1)
                escaped = self._take(1)
                return [] if escaped == "\n" else [Literal(escaped, quoted=True)]
            case "$":
                return [self._expansion(quoted=False)]
            case "`":
                raise ShellSyntaxError("backquotes are not known here; use $( )")
            case _:
                return [self._plain()]

    def _plain(self) -> Literal:
        start = self._place
        while not self.at_end() and self.peek() not in _ENDS_WORD + "'\"\\$`":
            self._place += 1
        return Literal(self._text[start : self._place], quoted=False)

    def _until_quote(self) -> str:
        end = self._text.find("'", self._place + 1)
        if end < 0:
            raise ShellSyntaxError("no closing quote")
        text = self._text[self._place + 1 : end]
        self._place = end + 1
        return text

    def _double_quoted(self) -> list[Literal | Variable | Substitution]:
        self._take(1)
        parts: list[Literal | Variable | Substitution] = [Literal("", quoted=True)]
        while self.peek() != '"':
            if self.at_end():
                raise ShellSyntaxError("no closing quote")
            if self.peek() == "$":
                parts.append(self._expansion(quoted=True))
            elif self.peek() == "\\" and self.peek(2)[1:] in ("$", "`", '"', "\\", "\n"):
                self._take(1)
                escaped = self._take(1)
                parts.append(Literal("" if escaped == "\n" else escaped, quoted=True))
            else:
                parts.append(Literal(self._take(1), quoted=True))
        self._take(1)
        return parts

    def _expansion(self, *, quoted: bool) -> Literal | Variable | Substitution:
        self._take(1)
        if self.peek() == "(":
            if self.peek(2) == "((":
                raise ShellSyntaxError("arithmetic is not known here")
            self._take(1)
            script = self.script(")")
            if self.peek() != ")":
                raise ShellSyntaxError("missing ')'")
            self._take(1)
            return Substitution(script, quoted)
        if self.peek() == "{":
            end = self._text.find("}", self._place)
            name = self._text[self._place + 1 : end]
            if end < 0 or not (name in tuple(_SPECIAL) or (name and all(char in _NAME for char in name))):
                raise ShellSyntaxError("bad substitution")
            self._place = end + 1
            return Variable(name, quoted)
        if self.peek() and self.peek() in _SPECIAL:
            return Variable(self._take(1), quoted)
        start = self._place
        while not self.at_end() and self.peek() in _NAME:
            self._place += 1
        name = self._text[start : self._place]
        return Variable(name, quoted) if name else Literal("$", quoted=True)

    def _skip(self, characters: str) -> None:
        while not self.at_end():
            if self.peek() in characters:
                self._place += 1
            elif self.peek() == "#" and (self._place == 0 or self._text[self._place - 1] in _ENDS_WORD):
                end = self._text.find("\n", self._place)
                self._place = len(self._text) if end < 0 else end
            elif self.peek(2) == "\\\n":
                self._place += 2
            else:
                break

    def _take(self, length: int) -> str:
        taken = self.peek(length)
        self._place += length
        return taken
