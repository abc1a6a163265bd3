"""What a client may know of this machine: the name of a broken file, and not the folders it lies in."""

from __future__ import annotations

import re

_NETWORK_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://[^\s/'\"`][^\s'\"`]*")
_FOLDERS = re.compile(
    r"""
    (?<![\w.~/\\-])  # not within a word, or another path
    (?: file:(?=/) | [A-Za-z][A-Za-z0-9+.-]*://(?=/) )?
    (?: [A-Za-z]:[/\\]+ | \\\\+ | ~\w*/+ | /+ )
    (?:
        (?: (?! : \s | ['"`] (?: [\s,;:.)\]] | $ ) ) [^/\\\n] )*?  # a name, which may hold spaces
        [^/\\\s:,;='"`(]
        [/\\]+
    )+
    """,
    re.VERBOSE,
)
_ENDS_A_PATH = re.compile(r"$|[\s'\"`:,;)\]]")


def without_folders(text: str) -> str:
    """The text with each absolute path in it, and URI of a file, cut down to its last name.

    Folders may hold spaces, so the text doesn't tell where a path without quotes ends: it goes on up to its
    last slash, and words before another slash go with it. Of an address in a network only the scheme is left,
    for it may hold a password.
    """
    return _FOLDERS.sub(_last_name, _NETWORK_URL.sub(r"\1://…", text))


def _last_name(found: re.Match[str]) -> str:
    """What stands for the folders before a name: nothing, or the last of them where no name follows."""
    if not _ENDS_A_PATH.match(found.string, found.end()):
        return ""
    return re.split(r"[/\\]+", found.group().rstrip("/\\"))[-1]
