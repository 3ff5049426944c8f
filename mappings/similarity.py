"""How alike two buyers are: names, phones, streets and postal codes, made comparable (rules 6).

In: text as people typed it. Out: comparable forms, and a likeness from 0 to 100. All of it only suggests accounts to a
person; nothing here is ever stored or sent. Pure; what is costly is remembered.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

import phonenumbers
from rapidfuzz import fuzz
from scourgify import normalize_address_record  # type: ignore[import-untyped]

from mappings.places import country_code

NICKNAMES: Final = """
abigail abby gail|albert al bert|alexander alex al sasha xander|alexandra alex sandra lexi sasha|alfred al fred
alice allie|allison allie|amanda mandy|andrew andy drew|angela angie|anne ann anna annie|anthony tony|arthur art artie
barbara barb babs|benjamin ben benny|bernard bernie|bradley brad|calvin cal|cameron cam|carolyn carol carrie
caroline carol carrie|catherine katherine kathryn cathy kathy cate kate katie kitty kat|charles charlie chuck chas
charlotte charlie lottie|christine chris chrissy tina|christina chris chrissy tina|christopher chris topher kit
clifford cliff|cynthia cindy|daniel dan danny|danielle dani|david dave davy|deborah deb debbie|dennis denny
dominic dom nick|donald don donnie|dorothy dot dottie|douglas doug|edward ed eddie ned ted teddy
eleanor ellie nell nora|elizabeth liz lizzie beth betty bess eliza lisa|emily em emmy|eugene gene|evelyn evie
frances fran frannie|francis frank fran|frederick fred freddie rick|gabriel gabe|gabrielle gabby|george georgie
gerald gerry jerry|gerard gerry|gregory greg|harold harry hal|henry hank harry hal|herbert herb bert
isabella bella izzy|jacob jake|jacqueline jackie|james jim jimmy jamie|janet jan|jason jay|jeffrey jeff
jennifer jen jenny jenn|jeremy jerry|jessica jess jessie|joan joanie|joanna jo|john johnny jack jon|carl karl
eric erik|sofia sophia sophie|stefan stephan|mark marc|brian bryan|alan allan allen|jonathan jon jonny nathan
joseph joe joey|josephine jo josie|joshua josh|judith judy|julia julie|kathleen kathy kate katie|kenneth ken kenny
kimberly kim kimmy|lawrence larry lars|leonard leo len lenny|leslie les|lillian lily lil|louis lou louie|louise lou
lucille lucy|madeline maddie|margaret maggie meg peggy marge greta|marilyn mary|martha marty|martin marty
matthew matt matty|maximilian max|megan meg|melissa mel missy lissa|melanie mel|michael mike mikey mick mickey
michelle shelly|mitchell mitch|nancy nan|natalie nat|nathan nate nat|nathaniel nate nat|nicholas nick nicky
nicole nicky nikki|oliver ollie|olivia liv livvy|pamela pam|patricia pat patty trish tricia|patrick pat paddy rick
penelope penny|peter pete|philip phil pip phillip|priscilla cilla|raymond ray|rebecca becky becca|reginald reg reggie
richard rick ricky rich richie dick|robert bob bobby rob robbie bert|roberta bobbie|ronald ron ronnie|rosemary rose
russell russ|ryan ry|samantha sam sammy|samuel sam sammy|sandra sandy|sarah sara sally sadie|sharon shari|sidney sid
stanley stan|stephanie steph|stephen steve stevie steven|susan sue susie suzy|suzanne sue suzy|sylvia syl
teresa terry tess tessa theresa|terence terry|theodore ted teddy theo|thomas tom tommy|timothy tim timmy|valerie val
vanessa nessa|veronica ronnie vera|victor vic|victoria vicky tori|vincent vince vinny|virginia ginny|walter walt wally
wendy wen|wesley wes|wilhelmina willa mina|william bill billy will willie liam|winifred winnie|yolanda yoli
zachary zach zack
"""
OTHER_GIVEN: Final = """
adam adrian aiko amy ana andrea andreas ashley brandon brenda carla carlos chloe daniela diana diego donna erica emma
ethan grace hannah heather helen ivan jane jose joyce juan jurgen karen kevin laura linda lucas luis maria mario marta
mary mia michaela miguel noah olga otto paul paula priya rachel roger rosa ruth scott sean siobhan tyler
"""
COMPANIES: Final = """
llc inc incorporated corp corporation co company ltd limited gmbh ag kg ohg ug plc llp lp pllc pc sas sarl srl bv
nv oy aps pty
"""
COMPANY_WORDS: Final = frozenset(COMPANIES.split())
TITLES: Final = frozenset(("mr", "mrs", "ms", "miss", "dr", "prof", "sir"))
SPELT_OUT: Final = {"incorporated": "inc", "corporation": "corp", "company": "co", "limited": "ltd"}
GENERATIONS: Final = {"jr": "2", "junior": "2", "sr": "1", "senior": "1", "ii": "2", "iii": "3", "iv": "4"}
FILLERS: Final = frozenset(("and", "the", "of"))

DIFFERENT_PEOPLE: Final = 80
"""The most that two names reach that are known to be two people's: Paul and Paula, Jr. and Sr."""
TYPO: Final = 80
"""Two given names this alike may be one, mistyped."""

_SPECIAL: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "a", "œ": "o", "ı": "i"})
_DIGRAPHS: Final = re.compile(r"(?<=[aou])e")


def folded(text: str) -> str:
    """Lower case without accents; one-letter spellings of `ae`, `oe`, `ue`, so that Mueller equals Müller."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_SPECIAL))
    return _DIGRAPHS.sub("", "".join(character for character in plain if not unicodedata.combining(character)))


def _words(text: str) -> list[str]:
    """Words of letters and digits; `L.L.C.` and `O'Connor` are one word each."""
    joined = re.sub(r"(?<=\b\w)\.(?=\w\b)|['’`]", "", folded(text))
    return re.findall(r"[^\W_]+", joined.replace("&", " and "))


def _nickname_forms() -> dict[str, frozenset[str]]:
    forms: dict[str, set[str]] = {}
    for group in re.split(r"[|\n]", NICKNAMES):
        names = [folded(name) for name in group.split()]
        for name in names:
            forms.setdefault(name, set()).add(names[0])
    for name in OTHER_GIVEN.split():
        forms.setdefault(folded(name), set()).add(folded(name))
    return {name: frozenset(of) for name, of in forms.items()}


_FORMS: Final = _nickname_forms()
"""Given name → the full names that it may stand for: bert → albert, herbert, robert."""


def _relatives() -> dict[str, tuple[str, ...]]:
    by_form: dict[str, list[str]] = {}
    for name, forms in _FORMS.items():
        for form in forms:
            by_form.setdefault(form, []).append(name)
    return {
        name: tuple(sorted({other for form in forms for other in by_form[form]}))
        for name, forms in _FORMS.items()
        if any(len(by_form[form]) > 1 for form in forms)
    }


_RELATIVES: Final = _relatives()


def formal(token: str) -> str:
    """The full name that a nickname usually stands for; any other word as it is."""
    return min(_FORMS.get(token, (token,)))


def nicknames(token: str) -> tuple[str, ...]:
    """The token itself and every given name that may be the same person's."""
    return _RELATIVES.get(token, (token,))


class Name(NamedTuple):
    """A name, comparable: accents, case, titles, company suffixes and single initials are gone."""

    tokens: tuple[str, ...]
    """In the order of speech: given name first."""
    company: frozenset[str]
    """Its company suffixes; empty for a person, and for a company that is called by its name alone."""
    generation: str
    """Of Jr., Sr., II, III; empty without."""

    @property
    def given(self) -> str:
        """The first word."""
        return self.tokens[0] if self.tokens else ""


@lru_cache(maxsize=8192)
def name_of(text: str) -> Name:
    """A person's or a company's name; `Smith, Ann` is Ann Smith."""
    before, comma, after = text.partition(",")
    words = _words(text)
    if comma:
        last = _words(after)
        if last and not all(word in COMPANY_WORDS or word in GENERATIONS for word in last):
            words = [*last, *_words(before)]
    company = frozenset(SPELT_OUT.get(word, word) for word in words[1:] if word in COMPANY_WORDS)
    generation = next((GENERATIONS[word] for word in words[2:] if word in GENERATIONS), "")
    kept = [
        word
        for place, word in enumerate(words)
        if word not in FILLERS
        and not (place and word in COMPANY_WORDS)
        and not (place == 0 and word in TITLES and len(words) > 2)
        and not (place > 1 and word in GENERATIONS)
    ]
    full = [word for word in kept if len(word) > 1 or word.isdigit()]
    return Name(tuple(full if len(full) > 1 else kept or words), company, generation)


def same_given_name(one: str, other: str) -> bool:
    """Whether two given names may be one person's: equal, or one a nickname of the other."""
    return one == other or not _FORMS.get(one, frozenset()).isdisjoint(_FORMS.get(other, frozenset()))


def is_same_name(one: str, other: str) -> bool:
    """The same words in any order, nicknames aside; no likeness, no guess. Acme LLC and Acme Inc. are two."""
    left, right = name_of(one), name_of(other)
    if not left.tokens or _other_generation(left, right):
        return False
    if left.company and right.company and left.company != right.company:
        return False
    aligned = _aligned(left.tokens, right.tokens)
    return sorted(left.tokens) == sorted(aligned) or "".join(left.tokens) == "".join(aligned)


def name_likeness(one: str, other: str) -> int:
    """0 to 100: likeness of the words, in any order, nicknames taken for the name they stand for."""
    left, right = name_of(one), name_of(other)
    if not left.tokens or not right.tokens:
        return 0
    aligned = _aligned(left.tokens, right.tokens)
    likeness = int(
        max(
            fuzz.ratio(" ".join(sorted(left.tokens)), " ".join(sorted(aligned))),
            fuzz.ratio("".join(left.tokens), "".join(aligned)),
        )
    )
    if _other_generation(left, right) or _other_given_name(left.tokens, aligned):
        return min(likeness, DIFFERENT_PEOPLE)
    return likeness


def _aligned(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    """`right`, with every nickname spelt as `left` spells that name."""
    return tuple(
        token if token in left else next((mine for mine in left if same_given_name(mine, token)), token)
        for token in right
    )


def _other_generation(left: Name, right: Name) -> bool:
    return bool(left.generation and right.generation and left.generation != right.generation)


def _other_given_name(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Paul and Paula differ by a letter, yet are no typo of each other: both are names of their own."""
    mine = [token for token in left if token not in right and token in _FORMS]
    return bool(mine) and any(token not in left and token in _FORMS for token in right)


def may_be_one_person(one: str, other: str) -> bool:
    """False when both are people's names and the given names have nothing in common: two of one household."""
    left, right = name_of(one), name_of(other)
    if left.company or right.company or not left.tokens or not right.tokens:
        return True
    return any(_given_agrees(left.given, token) for token in right.tokens) or any(
        _given_agrees(right.given, token) for token in left.tokens
    )


def _given_agrees(given: str, token: str) -> bool:
    if same_given_name(given, token) or (len(given) == 1 and token[:1] == given):
        return True
    if len(token) == 1:
        return given[:1] == token
    return not (given in _FORMS and token in _FORMS) and fuzz.ratio(given, token) >= TYPO


def postal_key(text: str) -> str:
    """Letters and digits; the first five of a US ZIP+4."""
    compact = re.sub(r"[^0-9A-Z]", "", text.upper())
    return compact[:5] if re.fullmatch(r"\d{5}-?\d{4}", text.strip()) else compact


@lru_cache(maxsize=8192)
def e164(text: str, country: str) -> str:
    """`713-555-0134 ext. 2` in US → `+17135550134`; empty when it is no valid number. `country` is ISO 3166-1."""
    try:
        number = phonenumbers.parse(text, country_code(country) or "US")
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_valid_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def phone_tail(text: str) -> str:
    """The last seven digits before an extension; empty when there are fewer, or all are one digit.

    Cheap enough for a sweep over all accounts, where parsing each number would take seconds. Equal numbers have equal
    tails; that equal tails are one number is for `e164` to say.
    """
    number = re.search(r"\d[\d\s()./-]*", text)
    digits = re.sub(r"\D", "", number[0])[-7:] if number else ""
    return digits if len(digits) == 7 and len(set(digits)) > 1 else ""


class Street(NamedTuple):
    """Street and number, and the unit within the building; empty when there is none."""

    street: str
    unit: str


_ORDINAL_WORDS: Final = """
FIRST SECOND THIRD FOURTH FIFTH SIXTH SEVENTH EIGHTH NINTH TENTH ELEVENTH TWELFTH THIRTEENTH FOURTEENTH FIFTEENTH
SIXTEENTH SEVENTEENTH EIGHTEENTH NINETEENTH TWENTIETH
"""
_ORDINALS: Final = {
    word: f"{number}{('ST', 'ND', 'RD')[number - 1] if number < 4 else 'TH'}"
    for number, word in enumerate(_ORDINAL_WORDS.split(), start=1)
}
_UNIT: Final = re.compile(
    r"\b(?:apt|apartment|unit|suite|ste|floor|fl|room|rm|flat|no)\b\.?\s*#?\s*([\w-]+)|#\s*([\w-]+)"
)


@lru_cache(maxsize=8192)
def street_of(line1: str, line2: str = "", line3: str = "") -> Street:
    """Match key of an address: as US postal standards spell it where it parses, else folded text.

    A line `Attn: …` is no address. Only for comparing: what stands on orders and accounts stays as it was typed.
    """
    lines = [line for line in (line1, line2, line3) if line.strip() and not re.match(r"(?i)\s*(attn|c/o)\b", line)]
    if not lines:
        return Street("", "")
    try:
        # City, state and ZIP only complete the record: nothing of them enters the key.
        record = normalize_address_record(
            {
                "address_line_1": lines[0],
                "address_line_2": " ".join(lines[1:]) or None,
                "city": "Waco",
                "state": "TX",
                "postal_code": "76701",
            }
        )
    except Exception:
        # A guesser of other people's: whatever it stumbles over is compared as plain text.
        text = " ".join(" ".join(lines).casefold().split())
        unit = _UNIT.search(text)
        return Street(
            "".join(_words(_UNIT.sub(" ", text))), "".join(_words(unit[1] or unit[2])).upper() if unit else ""
        )
    street = " ".join(_ORDINALS.get(word, word) for word in str(record["address_line_1"]).split())
    unit_words = re.findall(r"[\w-]+", str(record["address_line_2"] or ""))
    return Street(street, unit_words[-1].replace("-", "") if unit_words else "")
