"""Recipients among the lines of an address: `c/o …`, `Attn: …`.

In: one clean line. Out: the recipients of that line in one form, and what else stood on it. Publication 28, 214 (the
attention line stands above the street); elsewhere `c/o` is as usual, with the street behind a comma.
"""

import re
from typing import Final

from mappings.address_parts import MOST_LETTERS, clean
from mappings.postal_words import NUMBER_WORDS, THOROUGHFARES, bare

_CARE: Final = r"c\s*/\s*o\b|c\.o\.|℅|(?:in\s+)?care\s+of\b"
_DEPARTMENT: Final = (
    r"accounts?\s+(?:payable|receivable|department|dept)|accounting|receiving|purchasing|shipping|payables|payroll"
    r"|(?:mr|mrs|ms|miss|dr)\b"
)
_MARKER: Final = re.compile(
    rf"(?i)(?:(?P<attn>attn\b|attention(?=\s*[:.-]|\s+(?:{_DEPARTMENT}))|att(?=[:.]))[\s:.-]*"
    rf"|(?:{_CARE}|%(?=\s*[^\W\d_]))[\s:.-]*)(?=[^\W_]|[#\"'(])"
)
_NEXT_RECIPIENT: Final = re.compile(rf"(?i),\s*(?=(?:{_CARE}|attn|attention:|att[:.])(?:\W|$|(?<=[/.:])))")
_BOX: Final = r"p\.?\s?o\.?\s?box\b|post\s+office\s+box\b"
_BEFORE_RECIPIENT: Final = re.compile(
    rf"(?i)^((?:\d|{_BOX}|rr\s*\d|hc\s*\d).*?)[\s,;]+(?P<open>\()?(?=(?:{_CARE}|attn|attention:)(?:\W|$))"
)
_REFERENCE: Final = re.compile(
    r"(?i)\b(?:p\.?\s?o\b(?!\.?\s*box)|purchase\s+order|order|ref|job|invoice|acct|account|ext|extension|tel|phone|ph|cell"
    r"|mob|mobile|fax)\b.*|\+?[\d().\s/-]{7,}"
)
"""Numbers that are part of the recipient: an order's, a telephone's."""
_UNIT: Final = re.compile(r"(?i)(?:apt|apartment|suite|ste|unit|floor|fl|bldg|building|rm|room)\b\.?\s*#?\s*[^\W_]")


def split_recipient(line: str) -> tuple[str, list[str]]:
    """The recipients of this line in one form, `c/o Bob, Attn: Ann`, and its other text, if there is any."""
    if len(line) > MOST_LETTERS:
        return "", [line]
    if marker := _MARKER.match(line):
        recipient, rest = _until_the_address(line, marker.end())
        marked = ", ".join(_marked(part) for part in _NEXT_RECIPIENT.split(recipient))
        others, rest_lines = split_recipient(rest) if rest else ("", [])
        return ", ".join(filter(None, [marked, others])), rest_lines
    if before := _BEFORE_RECIPIENT.match(line):
        behind = line[before.end() :]
        if before["open"]:
            inside, closing, after = behind.partition(")")
            behind = f"{inside}, {after}" if closing else behind
        recipient, rest_lines = split_recipient(clean(behind))
        if recipient:
            return recipient, [", ".join([clean(before[1]), *rest_lines])]
    return "", [line] if line else []


def without_marker(recipient: str) -> str:
    """The name alone."""
    return _MARKER.sub("", recipient, count=1)


def is_marked(text: str) -> bool:
    """Whether it begins with `c/o`, `Attn:` or the like."""
    return _MARKER.match(text) is not None


def holds_street(recipient: str, country: str) -> bool:
    """Whether the recipient's line says where, too: `c/o Müller Hauptstr. 5`.

    In the US and Canada a house number and a suffix, or a box; elsewhere any number that is no telephone's, or behind
    `c/o` and a comma the name of a house or a hamlet.
    """
    name = without_marker(recipient)
    if _REFERENCE.search(name) is not None and not re.search(rf"(?i){_BOX}", name):
        return False
    if country not in ("US", "CA"):
        is_named = re.match(rf"(?i)(?:{_CARE})", recipient) and re.search(r"[,;]\s*[^\W\d_]+\.?\s+[^\W\d_]", name)
        return is_named is not None or any(char.isdigit() for char in name)
    words = [bare(word.rstrip(",;")) for word in name.split()]
    numbers = [place for place, word in enumerate(words) if word in NUMBER_WORDS or re.fullmatch(r"\d+[a-z]?", word)]
    is_street = bool(numbers) and any(word in THOROUGHFARES for word in words[numbers[0] + 2 :])
    return is_street or re.search(rf"(?i)(?:{_BOX})\W*\w", name) is not None


def _marked(recipient: str) -> str:
    """With its mark in one form, in capitals where the name is."""
    marker = _MARKER.match(recipient)
    if marker is None:
        return recipient
    name = recipient[marker.end() :]
    loud = any(char.isalpha() for char in name) and name.isupper()
    if marker["attn"]:
        return ("ATTN: " if loud else "Attn: ") + name
    return ("C/O " if loud else "c/o ") + name


def _until_the_address(line: str, start: int) -> tuple[str, str]:
    """The recipient, and what follows the first comma before a text that says where."""
    for comma in re.finditer(r"[,;]\s*", line):
        if comma.start() >= start and _says_where(re.split(r"[,;]", line[comma.end() :], maxsplit=1)[0].strip()):
            return clean(line[: comma.start()]), clean(line[comma.end() :])
    return line, ""


def _says_where(text: str) -> bool:
    words = text.split()
    if not words or _REFERENCE.fullmatch(text) or _MARKER.match(text):
        return False
    if any(char.isdigit() for char in text) or _UNIT.match(text) or re.match(rf"(?i)(?:{_BOX})", text):
        return True
    return len(words) > 1 and (words[0].lower() in NUMBER_WORDS or bare(words[-1]) in THOROUGHFARES)
