"""The words of postal addresses and their standard abbreviations, as tables; `mappings.streets` says where they apply.

Sources: USPS Publication 28, appendix C1 (street suffixes), C2 (secondary unit designators), sections 233
(directionals) and 29 (Puerto Rico), appendix G (business words); Canada Post's addressing guidelines (street types).
Every table maps a word in lower case, without dots, to the abbreviation as it stands in a mixed-case address.
"""

import re
from collections.abc import Mapping
from typing import Final


def bare(token: str) -> str:
    """To look a word up: `St.` → `st`, `S.W.` → `sw`."""
    return token.lower().replace(".", "") if re.fullmatch(r"(?:\w\.)+\w?|[\w-]+\.?", token) else ""


def in_case_of(abbreviation: str, word: str) -> str:
    """The abbreviation in the case of the word that it replaces."""
    letters = word.replace(".", "")
    if len(letters) > 1 and letters.isupper():
        return abbreviation.upper()
    return abbreviation.lower() if letters.islower() else abbreviation


def short(table: Mapping[str, str], token: str) -> str:
    """The standard form in the token's case: the token itself where it is one."""
    standard = table[bare(token)]
    return token.replace(".", "") if standard.lower() == bare(token) else in_case_of(standard, token)


def word_set(text: str) -> frozenset[str]:
    """Of words between blanks."""
    return frozenset(text.split())


def _table(text: str) -> dict[str, str]:
    """Of groups `Abbreviation word word …`, one a line or separated by `|`: each word, and the abbreviation itself."""
    found: dict[str, str] = {}
    for group in text.replace("\n", "|").split("|"):
        words = group.split()
        for word in words:
            found.setdefault(word.lower(), words[0])
    return found


def _spelt_out(text: str) -> dict[str, str]:
    """Of the same groups only the full word, the first after the abbreviation."""
    groups = (group.split() for group in text.replace("\n", "|").split("|"))
    return {words[1]: words[0] for words in groups if len(words) > 1}


_SUFFIXES: Final = """
Aly alley allee ally|Anx annex anex annx|Arc arcade|Ave avenue av aven avenu avn avnue|Byu bayou bayoo|Bch beach
Bnd bend|Blf bluff bluf|Blfs bluffs|Btm bottom bot bottm|Blvd boulevard boul boulv|Br branch brnch|Brg bridge brdge
Brk brook|Brks brooks|Bg burg|Bgs burgs|Byp bypass bypa bypas byps|Cp camp cmp|Cyn canyon canyn cnyn|Cpe cape
Cswy causeway causwa|Ctr center cen cent centr centre cnter cntr|Ctrs centers|Cir circle circ circl crcl crcle
Cirs circles|Clf cliff|Clfs cliffs|Clb club|Cmn common|Cmns commons|Cor corner|Cors corners|Crse course|Ct court
Cts courts|Cv cove|Cvs coves|Crk creek|Cres crescent crsent crsnt|Crst crest|Xing crossing crssng|Xrd crossroad
Xrds crossroads|Curv curve|Dl dale|Dm dam|Dv divide div dvd|Dr drive driv drv|Drs drives|Est estate|Ests estates
Expy expressway exp expr express expw|Ext extension extn extnsn|Exts extensions|Fall fall|Fls falls|Fry ferry frry
Fld field|Flds fields|Flt flat|Flts flats|Frd ford|Frds fords|Frst forest forests|Frg forge forg|Frgs forges|Frk fork
Frks forks|Ft fort frt|Fwy freeway freewy frway frwy|Gdn garden gardn grden grdn|Gdns gardens grdns
Gtwy gateway gatewy gatway gtway|Gln glen|Glns glens|Grn green|Grns greens|Grv grove grov|Grvs groves
Hbr harbor harb harbr hrbor|Hbrs harbors|Hvn haven|Hts heights ht|Hwy highway highwy hiway hiwy hway|Hl hill|Hls hills
Holw hollow hllw hollows holws|Inlt inlet|Is island islnd|Iss islands islnds|Isle isles isle
Jct junction jction jctn junctn juncton
Jcts junctions jctns|Ky key|Kys keys|Knl knoll knol|Knls knolls|Lk lake|Lks lakes|Land land|Lndg landing lndng|Ln lane
Lgt light|Lgts lights|Lf loaf|Lck lock|Lcks locks|Ldg lodge ldge lodg|Loop loops loop|Mall mall|Mnr manor|Mnrs manors
Mdw meadow|Mdws meadows medows|Mews mews|Ml mill|Mls mills|Msn mission missn mssn|Mtwy motorway|Mt mount mnt
Mtn mountain mntain mntn mountin mtin|Mtns mountains mntns|Nck neck|Orch orchard orchrd|Oval oval ovl|Opas overpass
Park park prk|Park parks|Pkwy parkway parkwy pkway pky|Pkwy parkways pkwys|Pass pass|Psge passage|Path path paths
Pike pike pikes|Pne pine|Pnes pines|Pl place|Pln plain|Plns plains|Plz plaza plza|Pt point|Pts points
Prt port|Prts ports
Pr prairie prr|Radl radial rad radiel|Ramp ramp|Rnch ranch ranches rnchs|Rpd rapid|Rpds rapids|Rst rest|Rdg ridge rdge
Rdgs ridges|Riv river rvr rivr|Rd road|Rds roads|Rte route|Row row|Rue rue|Run run|Shl shoal|Shls shoals|Shr shore shoar
Shrs shores shoars|Skwy skyway|Spg spring spng sprng|Spgs springs spngs sprngs|Spur spur|Spur spurs
Sq square sqr sqre squ|Sqs squares sqrs|Sta station statn stn|Stra stravenue strav straven stravn strvn strvnue
Strm stream streme|St street strt str|Sts streets|Smt summit sumit sumitt|Ter terrace terr|Trwy throughway
Trce trace traces|Trak track tracks trk trks|Trfy trafficway|Trl trail trails trls|Trlr trailer trlrs
Tunl tunnel tunel tunls tunnels tunnl
Tpke turnpike trnpk turnpk|Upas underpass|Un union|Uns unions|Vly valley vally vlly|Vlys valleys|Via viaduct vdct viadct
Vw view|Vws views|Vlg village vill villag villg villiage|Vlgs villages|Vl ville|Vis vista vist vst vsta|Walk walk walks
Wall wall|Way way wy|Ways ways|Wl well|Wls wells
"""
STREET_SUFFIXES: Final = _table(_SUFFIXES)
"""Appendix C1."""
SUFFIX_WORDS: Final = _spelt_out(_SUFFIXES)
"""Their primary names alone: what may be shortened wherever it stands when a line is too long."""

THOROUGHFARES: Final = frozenset(
    word
    for word, standard in STREET_SUFFIXES.items()
    if standard in word_set("Aly Ave Blvd Cir Ct Dr Expy Fwy Hwy Ln Pkwy Pl Plz Rd Sq St Ter Tpke Trl Way")
)
"""Suffixes that end a street's name wherever they stand last, unlike Park, View or Center."""

DIRECTIONALS: Final = _table(
    "N north|S south|E east|W west|NE northeast north-east|NW northwest north-west|SE southeast south-east"
    "|SW southwest south-west"
)
"""Section 233."""

_UNITS: Final = """
Apt apartment|Bldg building|Dept department|Fl floor flr|Hngr hangar hanger|Key key|Lot lot|Pier pier|Rm room
Slip slip|Spc space|Stop stop|Ste suite|Trlr trailer|Unit unit
"""
UNITS: Final = _table(_UNITS)
"""Appendix C2: those that a number or letter follows."""
UNIT_WORDS: Final = _spelt_out(_UNITS)
LONE_UNITS: Final = _table(
    "Bsmt basement|Frnt front|Lbby lobby|Lowr lower|Ofc office|PH penthouse|Rear rear|Side side|Uppr upper"
)
"""Appendix C2: those that need none."""
COUNTED_UNITS: Final = word_set("apts apartments bldgs buildings floors rms rooms stes suites units")
"""Several units at once, for which there is no abbreviation."""
PUERTO_RICO: Final = _table("Urb urbanización urbanizacion|Cond condominio|Edif edificio|Bo barrio|Apt apartamento")
"""Section 29: words that open a line in Puerto Rico."""

CANADIAN_TYPES: Final = _table(
    """
    Ave avenue av|Blvd boulevard|Cir circle|Cres crescent|Crt court|Dr drive|Expy expressway|Fwy freeway|Gdns gardens
    Hts heights|Hwy highway|Pky parkway pkwy|Pl place|Pt point|Rd road|Sq square|St street|Terr terrace
    Alley alley|Bay bay|Close close|Cove cove|Gate gate|Grove grove|Hill hill|Lane lane|Loop loop|Mews mews|Park park
    Ctr centre center|Path path|Quay quay|Ridge ridge|Row row|Run run|Trail trail|View view|Walk walk|Way way
    """
)
"""Canada Post's street types; many have no abbreviation."""
CANADIAN_UNITS: Final = _table("Apt apartment|Unit unit|Suite suite|App appartement")
FRENCH_TYPES: Final = frozenset(
    _table("""
    rue avenue av boulevard boul chemin ch place allée allee autoroute carré carre côte cote cours croissant impasse
    montée montee passage promenade quai rang route ruelle sentier terrasse voie
    """)
)
"""They stand before the street's name, so that its last word is no street type."""
FRENCH_DIRECTIONS: Final = {"nord": "N", "sud": "S", "est": "E", "ouest": "O"}

NUMBER_WORDS: Final = word_set(
    """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty"""
)
"""House numbers that are written out, and what people number suites and buildings with."""
ORDINALS: Final = word_set("first second third fourth fifth sixth seventh eighth ninth tenth ground main top")
"""Of floors."""
BUILDINGS: Final = word_set(
    """airport apartments arena barracks base bldg building camp campus capitol castle cathedral center centre church
    clinic college complex courthouse dock embassy estate fairgrounds farm fort hall hangar harbor hospital hotel house
    inn institute library lodge mall manor marina market mill mission motel museum palace pentagon pier plant plaza port
    prison ranch resort school village park zoo broadway ship stadium station terminal tower towers
    university warehouse yard uss usns uscgc"""
)
"""What mail finds by its name alone."""

BUSINESS_WORDS: Final = _spelt_out(
    """
    Assn association|Assoc associates|Bros brothers|Co company|Corp corporation|Ctr center|Ctr centre|Dept department
    Dist distributors|Dist distribution|Div division|Engrg engineering|Equip equipment|Govt government|Hosp hospital
    HQ headquarters|Inc incorporated|Inds industries|Ins insurance|Inst institute|Intl international|Lab laboratory
    Labs laboratories|Ltd limited|Mfg manufacturing|Mgmt management|Natl national|Prods products|Svc service
    Svcs services|Sys systems|Tech technology|Univ university|& and
    """
)
"""Appendix G, as far as everybody reads them without the list."""
CITY_WORDS: Final = {
    "saint": "St",
    "sainte": "Ste",
    "mount": "Mt",
    "fort": "Ft",
    "north": "N",
    "south": "S",
    "east": "E",
    "west": "W",
} | {word: SUFFIX_WORDS[word] for word in ("beach", "center", "heights", "mountain", "springs", "village")}
