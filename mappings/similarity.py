"""How alike two buyers are: names, phones, streets and postal codes, made comparable (rules 6).

In: text as people typed it. Out: comparable forms, whether two of them certainly are one party's, and a likeness from
0 to 100, which only suggests accounts to a person. Nothing here is ever stored or sent. Pure; what is costly is
remembered.
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
aaron adam adrian agnes ahmed aiden aiko aisha alberto alejandra alejandro alejo aleksandr aleksandra alessandra
alessandro alexis ali alina alma alvin alyssa amelia amir amit amy ana andre andrea andreas andres angel angelo anil
anita anja antoine antonia antonio april aria ariana ashley audrey austin autumn ava beatrice beatriz bernadette bianca
blake bonnie bradford brandon brenda brent brett brianna brigitte brittany brooke bruce bruno bryce caleb candice carla
carlo carlos carmen casey cassandra cecilia cedric celia chad chantal chase chelsea chen cheryl chloe christian claire
clara clarence claudia claudio clay clayton clyde cody colin colleen connie connor corey courtney craig cristina crystal
curtis daisy dale dana daniela darius dariusz darlene darrell dawn dean debra denise derek destiny devin diana diane
diego dieter dimitri dirk dmitri dolores dominique donna doris duane dustin dwayne dylan earl edgar edith eduardo edwin
eileen elaine elena eli elias elijah elise ella ellen elsa emil emilia emilio emma enrique erica erin ernest ernesto
esteban estelle esther ethan eva evan fatima faye felicia felix fernando filip flora florence floyd franz franziska
freya fritz gary gavin georgia gina giovanni giulia glen glenn gloria gordon grace grant gretchen guillermo gunter
gustavo guy hannah hans hassan hazel heather hector heidi heinz helen helena helga herman hiroshi holly hope howard hugo
ian ibrahim ignacio ingrid irene iris isaac isabel isaiah ivan ivana ivy jada jade jaime jana jane janice jared jasmine
javier jean jeanette jeanne jenna jens jerome jill joachim joaquin jocelyn joel joerg johan johanna jolene jordan jorge
jose joy joyce juan juana juanita julian juliana juliet julio julius june jurgen justin kaitlyn kara karen karin karina
karla kay kayla keith kelly kelsey kenji kerry kerstin kevin kirk kristen kristin kristina kurt kyle lana lance laura
lauren lea leah lee leila lena leon leona leroy levi lewis lina linda lindsay linh lloyd logan lois lorena lorenzo
loretta lori lorraine lucas lucia luciano luis luisa lukas luke luz lydia lynn mabel mackenzie magdalena magnus malcolm
manuel manuela marcel marco marcos marcus marek maria marian mariana marie marina mario marion marisol marissa marjorie
markus marlene marta marvin mason matteo maureen maurice mauro maya mei mercedes mia michaela miguel mikhail mila milan
mildred miles ming minh miranda miriam mohamed mohammed molly monica monique morgan muhammad myra nadia nadine naomi
natalia nathalie neil nelson nico nicola nicolas nikhil nikola nina noah noel noemi norma norman octavio olaf oleg olga
omar oscar otto owen pablo paige pascal paul paula pauline pavel pedro perry petra phoebe phyllis pierre piotr priya
quentin rachel rafael rahul ralph ramon raquel raul ravi regina rene renee rhonda ricardo rita roberto rocio rodney
rodrigo roger roland rolf roman rosa rosalie rosario roy ruben ruby rudolf ruth sabine sabrina salvador savannah scott
sean sebastian selena serena sergei sergio seth shane shannon shawn sheila shelby sherry shirley sigrid silvia simon
simone siobhan skylar sonia sonja spencer stacey stacy stefanie stella stuart sven svetlana sydney tamara tammy tanya
tara tatiana taylor terrence thea thelma tiffany todd tomas tomasz toni tracy travis trevor tristan troy tyler ulrich
uma ursula uwe vernon vicente viktor viktoria vivian vladimir wade wanda warren wayne wilma wolfgang xavier yan yasmin
yusuf yvette yvonne zoe
"""
"""Given names that no other name stands for."""
BUSINESS: Final = """
academy accounting advisors agency air apartments apparel appliance architects art arts associates associations auto
automotive bakery bank bar bath beauty bistro body books boutique brewery brothers builders building business cafe
capital care carpet catering center centre chairs chamber church cleaners cleaning clinic club coffee college committee
community computer construction consulting contract contracting contractors council county creative dental dentistry
design designs desk desks development diner distribution distributors district electric electrical electronics energy
engineering enterprise enterprises environmental equipment estate express fabrication facilities family farm farms
fashion federal finance financial fire fitness flooring florist food foods foundation framing freight furnishings
furniture gallery garage garden gas gifts glass global government grill grocery group gym hair hall hardware health
healthcare heating high holding holdings home homes hospital hotel house imports industrial industries inn installations
institute insurance interior interiors international investments jewelers kitchen lab laboratories laboratory
landscaping law lawn leasing legal library lighting lines liquor loans lodge logistics lumber machine machinery
maintenance management manufacturing marine market marketing masonry massage mechanical media medical metal metals
ministries ministry mortgage motel motors museum music network networks nursery office offices oil optical organization
paint painting paper parish partner partners partnership parts pet pharmacy photo photography pizza plastics plumbing
police post press printing products professional project promotions properties property public publishing radio ranch
real realty recovery rental rentals repair resources restaurant retail roofing room sales salon school schools security
service services shipping shoes shop shoppe sign signs society software solutions spa sports stables staffing station
steel storage store stores studio studios supplies supply surgery systems tavern tax taxi team tech technical
technologies technology telecom textiles theater theatre tile tire tires tool tools tours town township toys trading
training transport transportation travel tree trucking trust university utilities vending venture ventures veterinary
video village vision warehouse water web welding wholesale windows wine works workshop workspace yoga zoo
"""
"""Words of firms' names. A firm without a suffix has one of them, or an ampersand, or no given name."""
BUSINESS_WORDS: Final = frozenset(BUSINESS.split())
COMPANIES: Final = """
llc inc incorporated corp corporation co company ltd limited gmbh ag kg ohg ug plc llp lp pllc pc sas sarl srl bv
nv oy aps pty
"""
COMPANY_WORDS: Final = frozenset(COMPANIES.split())
TITLES: Final = {
    **dict.fromkeys(("mr", "sir", "herr", "monsieur", "senor"), "m"),
    **dict.fromkeys(("ms", "miss", "madam", "madame", "frau", "senora"), "f"),
    "mrs": "w",
    **dict.fromkeys(("dr", "prof"), ""),
}
"""Whose title: a man's, a woman's, or a wife's, who may carry her husband's name: Mrs. John Smith."""
SPELT_OUT: Final = {"incorporated": "inc", "corporation": "corp", "company": "co", "limited": "ltd"}
GENERATIONS: Final = {"jr": "2", "junior": "2", "sr": "1", "senior": "1", "ii": "2", "iii": "3", "iv": "4"}
NUMERALS: Final = frozenset(("ii", "iii", "iv"))
"""Generations behind a person's name; behind a firm's they number the firm: Sunrise Holdings II."""
FILLERS: Final = frozenset(("and", "the", "of"))

DIFFERENT_PEOPLE: Final = 80
"""The most that two names reach that are known to be two people's: Paul and Paula, Jr. and Sr."""
TYPO: Final = 80
"""Two given names this alike may be one, mistyped …"""
MISTYPED: Final = 5
"""… if they have so many letters."""

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
        forms.setdefault(folded(name), {folded(name)})
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
    """A name, comparable: accents, case, titles and company suffixes are gone, of a person also middle initials."""

    tokens: tuple[str, ...]
    """In the order of speech: given name first."""
    company: frozenset[str]
    """Its company suffixes; empty for a person, and for a company that is called by its name alone."""
    generation: str
    """Of Jr., Sr., II, III; empty without."""
    title: str = ""
    """As in `TITLES`; empty without."""
    initials: tuple[str, ...] = ()
    """A person's middle initials."""
    several: bool = False
    """It is joined by `and` or `&`: a couple, a family, a firm of partners."""

    @property
    def given(self) -> str:
        """The first word."""
        return self.tokens[0] if self.tokens else ""

    @property
    def is_persons(self) -> bool:
        """Nothing in it speaks for a firm, a couple or a household, and a given name that we know comes first."""
        return (
            not self.company
            and not self.several
            and len(self.tokens) > 1
            and self.given in _FORMS
            and not any(token in BUSINESS_WORDS or not token.isalpha() for token in self.tokens[1:])
        )


@lru_cache(maxsize=8192)
def name_of(text: str) -> Name:
    """A person's or a company's name; `Smith, Ann` is Ann Smith.

    What tells two parties apart stays: the letters of J & K Auto Repair, the II of Sunrise Holdings II.
    """
    before, comma, after = text.partition(",")
    words = _words(text)
    if comma:
        last = _words(after)
        if last and not all(word in COMPANY_WORDS or word in GENERATIONS for word in last):
            words = [*last, *_words(before)]
    title = TITLES[words[0]] if len(words) > 2 and words[0] in TITLES else None
    if title is not None:
        words = words[1:]
    company = frozenset(SPELT_OUT.get(word, word) for word in words[1:] if word in COMPANY_WORDS)
    several = "and" in words[1:]
    person = not company and not several and any(word in _FORMS for word in words)
    generations = GENERATIONS if person else {word: GENERATIONS[word] for word in GENERATIONS if word not in NUMERALS}
    generation = next((generations[word] for word in words[2:] if word in generations), "")
    kept = [
        word
        for place, word in enumerate(words)
        if word not in FILLERS and not (place and word in COMPANY_WORDS) and not (place > 1 and word in generations)
    ]
    full = [word for word in kept if len(word) > 1 or word.isdigit()]
    if not person or len(full) < 2:
        return Name(tuple(kept or words), company, generation, title or "", (), several)
    initials = tuple(word for word in kept[1:] if len(word) == 1 and not word.isdigit())
    return Name(tuple(full), company, generation, title or "", initials, several)


def same_given_name(one: str, other: str) -> bool:
    """Whether two given names may be one person's: equal, or one a nickname of the other."""
    return one == other or not _FORMS.get(one, frozenset()).isdisjoint(_FORMS.get(other, frozenset()))


def _certainly_same_given(one: str, other: str) -> bool:
    """Equal, or a nickname that stands for one name only: Bob is Robert, Chris may be Christina or Christopher."""
    return one == other or len(_FORMS.get(one, frozenset()) | _FORMS.get(other, frozenset((one, other)))) == 1


def _two_parties(left: Name, right: Name) -> bool:
    """Beside equal words something tells two parties apart: generation, title, middle initials, company suffix.

    A generation or `Mrs.` on one side only does: John Smith may be the father or the husband.
    """
    titles = {left.title, right.title}
    return (
        left.generation != right.generation
        or ("w" in titles and titles & {"m", ""} != set())
        or titles == {"m", "f"}
        or any(mine[0] != theirs[0] for mine, theirs in zip(left.initials, right.initials, strict=False))
        or bool(left.company and right.company and left.company != right.company)
    )


def is_same_name(one: str, other: str) -> bool:
    """Certainly the same name: the same words; no likeness, no guess. Acme LLC and Acme Inc. are two.

    A person's may stand in any order and with an unambiguous nickname, a firm's may not.
    """
    left, right = name_of(one), name_of(other)
    if not left.tokens or _two_parties(left, right):
        return False
    if left.tokens == right.tokens or "".join(left.tokens) == "".join(right.tokens):
        return True
    if left.company or right.company or left.several or right.several:
        return False
    if sorted(left.tokens) == sorted(right.tokens):
        return True
    known = left.is_persons and right.is_persons
    return known and left.tokens[1:] == right.tokens[1:] and _certainly_same_given(left.given, right.given)


def is_identical_name(one: str, other: str) -> bool:
    """Spelt alike but for case, accents and the order of `Smith, Ann`; no nickname, no title on one side only."""
    left, right = name_of(one), name_of(other)
    return bool(left.tokens) and left == right


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
    generations = {left.generation, right.generation} - {""}
    if len(generations) > 1 or _other_given_name(left.tokens, aligned):
        return min(likeness, DIFFERENT_PEOPLE)
    return likeness


def _aligned(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    """`right`, with every nickname spelt as `left` spells that name."""
    return tuple(
        token if token in left else next((mine for mine in left if same_given_name(mine, token)), token)
        for token in right
    )


def _other_given_name(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Paul and Paula differ by a letter, yet are no typo of each other: both are names of their own."""
    mine = [token for token in left if token not in right and token in _FORMS]
    return bool(mine) and any(token not in left and token in _FORMS for token in right)


def may_be_one_person(one: str, other: str) -> bool:
    """At one address and in one mailbox: the same name, or one person's with a new family name or a slip of the finger.

    A firm, a couple or a name without a given name that we know must be the same; so must a name with another
    generation or title, and a given name that is an initial or may be somebody else's of the household.
    """
    if is_same_name(one, other):
        return True
    left, right = name_of(one), name_of(other)
    if _two_parties(left, right) or not (left.is_persons or right.is_persons):
        return False
    if left.is_persons and right.is_persons:
        family = fuzz.ratio(" ".join(left.tokens[1:]), " ".join(right.tokens[1:]))
        return left.given == right.given or (family >= TYPO and _certainly_same_given(left.given, right.given))
    # One given name is known, the other is not: mistyped, if all else is equal.
    firm = any(name.company or name.several or not BUSINESS_WORDS.isdisjoint(name.tokens) for name in (left, right))
    return not firm and left.tokens[1:] == right.tokens[1:] and _is_slip(left.given, right.given)


def _is_slip(one: str, other: str) -> bool:
    """Two spellings of one given name. Jan and Jana, Mario and Marie differ at the end: they are two names."""
    if min(len(one), len(other)) < MISTYPED or one[0] != other[0] or one[-2:] != other[-2:]:
        return False
    return fuzz.ratio(one, other) >= TYPO


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
    """Street and number, and the door within: building, floor, unit, each with its kind; empty when there is none."""

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
_NUMBER_WORDS: Final = dict(
    zip(
        ("ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE", "TEN", "ELEVEN", "TWELVE"),
        map(str, range(1, 13)),
        strict=True,
    )
)
_KINDS: Final = {
    **dict.fromkeys(("APT", "APARTMENT", "UNIT", "STE", "SUITE", "FLAT", "NO", "RM", "ROOM", "OFC", "OFFICE"), "UNIT"),
    "#": "UNIT",
    **dict.fromkeys(("BLDG", "BUILDING", "BLOCK", "BLK"), "BLDG"),
    **dict.fromkeys(("FL", "FLR", "FLOOR", "LEVEL"), "FL"),
    **dict.fromkeys(("TOWER", "TWR"), "TOWER"),
    **dict.fromkeys(("WING", "HALL"), "WING"),
    **dict.fromkeys(("PH", "PENTHOUSE"), "PH"),
    **dict.fromkeys(("LOT", "TRLR", "TRAILER", "SPC", "SPACE", "SLIP"), "LOT"),
    **dict.fromkeys(("BSMT", "BASEMENT"), "BSMT"),
    **dict.fromkeys(("LOWR", "LOWER"), "LOWER"),
    **dict.fromkeys(("UPPR", "UPPER"), "UPPER"),
    **dict.fromkeys(("FRNT", "FRONT"), "FRONT"),
    **{word: word for word in ("REAR", "SIDE", "HNGR", "DEPT", "PMB", "DOCK", "GATE", "STOP", "PIER", "KEY")},
}
"""Word → what it counts: apartments, suites and `#` count doors, buildings and floors are kinds of their own."""
_ALONE: Final = frozenset(("BSMT", "FRONT", "LOWER", "PH", "REAR", "SIDE", "UPPER"))
"""Kinds that need no number."""
_NAMED_BEFORE: Final = frozenset(("FL", "TOWER", "WING"))
"""Kinds whose name may stand before them: North Tower, 2nd Floor."""
_UNIT: Final = re.compile(
    r"\b(?:apt|apartment|unit|suite|ste|flat|no|room|rm|bldg|building|block|blk|tower|floor|flr|fl|ph|penthouse|lot|pmb)"
    r"\b\.?\s*#?\s*(?=[\w-]*\d|[a-z]\b)[\w-]+(?:\s+\d/\d)?|#\s*[\w-]+(?:\s+\d/\d)?|\b\d+(?:st|nd|rd|th)\s+floor\b"
)
_RECIPIENT: Final = re.compile(r"(?i)^\s*(?:attn\b|attention\b|c/o\b|care\s+of\b|%)[\s.:]*")
_DIGITS_APART: Final = re.compile(r"(?<=\d)-(?=\d)")


@lru_cache(maxsize=8192)
def street_of(line1: str, line2: str = "", line3: str = "") -> Street:
    """Match key of an address: as US postal standards spell it where it parses, else folded text.

    Whom a line is for (`Attn: …`, `c/o …`) is no address; what follows it on the line is. Only for comparing: what
    stands on orders and accounts stays as it was typed.
    """
    lines = [rest for line in (line1, line2, line3) if (rest := _without_recipient(line))]
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
        text = " ".join(folded(" ".join(lines)).split())
        units = " ".join(found[0] for found in _UNIT.finditer(text))
        return Street(_joined(_UNIT.sub(" ", text)), _door(units))
    street = " ".join(_ORDINALS.get(word, word) for word in str(record["address_line_1"]).split())
    return Street(street, _door(str(record["address_line_2"] or "")))


def _without_recipient(line: str) -> str:
    """`c/o Bob, 5 Main St` → `5 Main St`; empty when the line only says for whom."""
    marker = _RECIPIENT.match(line)
    if marker is None:
        return line.strip()
    _, comma, after = line[marker.end() :].partition(",")
    if comma and any(character.isdigit() for character in after):
        return after.strip()
    street = re.search(r"(?<!\w)\d[\w-]*\s+\w.*", line[marker.end() :])
    return street[0].strip() if street else ""


def _joined(text: str) -> str:
    """Letters and digits; a hyphen between digits stays, as 1-11 is not 11-1."""
    return "".join(_words(_DIGITS_APART.sub("hyphen", text)))


def _door(text: str) -> str:
    """`Apt. 4-B, Bldg 2` → `BLDG 2 UNIT 4B`: each kind with its number, so that other buildings are other doors."""
    words = re.findall(r"#|\d+/\d+|[^\W_]+(?:-[^\W_]+)*", text.upper())
    parts: list[tuple[str, str]] = []
    kind, number = "", ""
    for place, word in enumerate(words):
        found = _KINDS.get(word, "")
        following = _KINDS.get(words[place + 1], "") if place + 1 < len(words) else ""
        if found and not (found == kind == "UNIT" and not number):
            if found in _NAMED_BEFORE and kind == found and number:
                # Its name stood before it.
                parts.append((kind, number))
                kind, number = "", ""
                continue
            if kind:
                parts.append((kind, number))
            kind, number = found, ""
        elif not found and following in _NAMED_BEFORE and not _has_number(words, place + 1):
            if kind:
                parts.append((kind, number))
            kind, number = following, _number(word)
        elif not found:
            kind, number = kind or "UNIT", " ".join(filter(None, (number, _number(word))))
    if kind:
        parts.append((kind, number))
    # Stable: two doors of one kind stay in their order, 4 # 12 is not 12 # 4.
    ordered = sorted(parts, key=lambda part: part[0])
    return " ".join(f"{kind} {number}".strip() for kind, number in ordered if number or kind in _ALONE)


def _has_number(words: list[str], place: int) -> bool:
    """Whether a kind's number follows it: Fl 2, Tower A; else its name stood before: 2nd Floor."""
    return place + 1 < len(words) and words[place + 1] not in _KINDS


def _number(word: str) -> str:
    plain = _NUMBER_WORDS.get(word, _ORDINALS.get(word, word))
    plain = re.sub(r"^(\d+)(?:ST|ND|RD|TH)$", r"\1", plain)
    return re.sub(r"(?<!\d)-|-(?!\d)", "", plain)
