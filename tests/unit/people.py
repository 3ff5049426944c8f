"""People, households and firms in Sage, and their web orders with the errors that buyers make; the truth is known.

`Town(seed)` builds the accounts; `orders()` yields `(what happened, the order's search, its account)`, the account
being None for somebody new. Nothing here uses the code that is measured.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mappings.customer_match import CustomerRecord, EmailSource
from mappings.sales_order import CustomerKey, CustomerSearch, NewCustomer

GIVEN_NAMES = """
Aaron Abigail Adam Alan Alexander Alice Amanda Amir Amy Andrea Andrew Angela Anita Anthony Arthur Aisha Barbara
Benjamin Beatriz Brandon Brenda Brian Bruno Carlos Carol Catherine Cecilia Charles Chen Christine Claire Cynthia
Daniel Darius David Deborah Dennis Diana Dmitri Dolores Donald Douglas Edith Edward Elena Elizabeth Emil Eric Esther
Fatima Felix Florence Francis Frederick Gabriel George Gloria Grace Gregory Hannah Harold Heather Hector Helga Henry
Hiroshi Hugo Ian Ingrid Irene Isaac Ivan Jacob James Jane Jason Jennifer Jerome Jessica Joaquin John Jonathan Joseph
Joshua Joyce Judith Julia Jürgen Karen Kenji Kenneth Kevin Kimberly Lars Laura Lawrence Leila Lena Leonard Linda
Lorenzo Louise Lucas Lucía Luis Magnus Margaret María Mark Marta Martin Mary Matthew Megan Melissa Michael Miguel
Mohammed Monica Nadia Nancy Natalia Nathan Nicholas Nicole Nina Noah Nora Olga Oliver Olivia Omar Oscar Otto Pamela
Patricia Patrick Paul Pedro Peter Philip Priya Rachel Rafael Raymond Rebecca Richard Robert Rosa Ronald Ruth Samuel
Sandra Sarah Scott Sean Sergei Simon Siobhán Sofia Sophie Stanley Stephanie Stephen Susan Sven Tamara Theodore Theresa
Thomas Timothy Tomás Tyler Ursula Valerie Vera Victor Victoria Vincent Virginia Walter Wendy William Xavier Yolanda
Yusuf Zachary Zoë
"""
GIVEN = GIVEN_NAMES.split()
FAMILY_NAMES = """
Abbott Acosta Adler Aguilar Albright Alvarez Anderson Arnold Atkins Bachmann Baker Baldwin Banerjee Barnes Bauer
Becker Bennett Berger Bianchi Blackwood Bowen Bradley Brennan Brückner Burke Burton Caldwell Calloway Cameron Campbell
Carlson Carter Castillo Chandler Chang Chaudhry Clark Cohen Coleman Connolly Cooper Cortez Crawford Cruz Cullen Dalton
Daniels Davenport Delgado Dempsey Diaz Dixon Donovan Drummond Duarte Dubois Duncan Eastman Edwards Eklund Ellison
Engel Espinoza Evans Farrell Ferguson Fischer Fitzgerald Fleming Flores Foster Fox Franklin Fraser Fuentes Gallagher
Garcia Gardner Garrison Gibson Gomez Gordon Graham Greenwood Griffith Gutierrez Hale Hamilton Hansen Harper Harrington
Hartmann Hawkins Hayes Henderson Hernandez Hoffman Holloway Horvath Huang Hughes Hussain Ibrahim Ingram Ivanov Jackson
Jacobs Jankowski Jarvis Jensen Jimenez Johansson Johnson Kaplan Kaur Keller Kendrick Kennedy Khan Kim Kimura Klein
Knight Kovacs Kowalski Kramer Kumar Lambert Langford Larsen Lawson Lehmann Leblanc Lindqvist Lopez Lombardi Lynch
MacDonald Maddox Mahoney Malik Marchetti Marquez Marshall Martinez Mason McAllister McCarthy Mehta Mendoza Meyer
Miller Mitchell Molina Monroe Moreau Morales Moretti Morgan Müller Murphy Nakamura Navarro Nelson Newman Nguyen
Nielsen Norris Novak Nowak O'Brien O'Connor O'Neill Ochoa Oliveira Olsen Ortega Osborne Owens Palmer Parker Patel
Pearson Pereira Perez Peterson Petrov Phillips Porter Powell Quinn Ramirez Ramsey Rasmussen Reyes Reynolds Richter
Riley Rivera Roberts Rodriguez Romano Rosenberg Rossi Russo Salazar Sanchez Sanders Santos Sato Schmidt Schneider
Schultz Schwartz Serrano Shapiro Sharma Shaw Silva Simmons Singh Smith Soto Spencer Stein Stevens Sullivan Suzuki
Svensson Swanson Takahashi Tanaka Taylor Thompson Torres Tran Turner Underwood Vargas Vasquez Vega Wagner Walsh Wang
Ward Watanabe Weaver Weber Whitfield Wilson Wójcik Wolfe Wong Wright Yamamoto Young Zhang Zimmermann
"""
FAMILY = FAMILY_NAMES.split()
SHORT = {
    "Robert": "Bob", "William": "Bill", "Elizabeth": "Liz", "Margaret": "Peggy", "Richard": "Rick", "James": "Jim",
    "Michael": "Mike", "Jennifer": "Jenny", "Thomas": "Tom", "Katherine": "Kate", "Joseph": "Joe", "Daniel": "Danny",
    "Edward": "Ted", "Charles": "Chuck", "Samuel": "Sam", "Rebecca": "Becky", "Deborah": "Debbie", "Susan": "Sue",
    "Anthony": "Tony", "Benjamin": "Ben", "Timothy": "Tim", "Andrew": "Drew", "Alexander": "Alex", "Patricia": "Pat",
    "Victoria": "Vicky", "Nicholas": "Nick", "Gregory": "Greg", "Kenneth": "Ken", "Stephen": "Steve", "Jonathan": "Jon",
    "Matthew": "Matt", "Christine": "Tina", "Abigail": "Abby", "Lawrence": "Larry", "Theodore": "Theo",
}  # fmt: skip
STREET_NAMES = """
Abbey Acorn Alder Amber Arbor Ash Aspen Bay Beacon Birch Blossom Briar Brook Canyon Cardinal Cedar Cherry Chestnut
Church Clover College Coral Cottage Cypress Dogwood Eagle Elm Fairview Falcon Fern Forest Garden Glen Hazel Heron
Hickory Highland Hill Holly Iris Ivy Juniper Lake Laurel Lincoln Linden Locust Magnolia Maple Market Meadow Mill Oak
Olive Orchard Park Pine Poplar Prairie Quail Ridge River Rose Sage School Spring Spruce Summit Sunset Sycamore Valley
Vine Walnut Washington Willow Windsor
"""
STREETS = STREET_NAMES.split()
WAYS = (("Street", "St."), ("Avenue", "Ave"), ("Road", "Rd"), ("Boulevard", "Blvd"), ("Lane", "Ln"), ("Drive", "Dr"))
PLACES = (
    ("Houston", "TX", "770", "713"), ("Dallas", "TX", "752", "214"), ("Austin", "TX", "787", "512"),
    ("Chicago", "IL", "606", "312"), ("Seattle", "WA", "981", "206"), ("Portland", "OR", "972", "503"),
    ("Denver", "CO", "802", "303"), ("Omaha", "NE", "681", "402"), ("Albany", "NY", "122", "518"),
    ("San Diego", "CA", "921", "619"), ("Milwaukee", "WI", "532", "414"), ("Atlanta", "GA", "303", "404"),
)  # fmt: skip
TRADE = """Office Furniture|Interiors|Supply|Design Group|Contract Furnishings|Facilities|Workspace|Partners|Trading
|Law Group|Dental Care|School District|Logistics|Studio|Desks and Chairs""".replace("\n", "").split("|")
SUFFIXES = (
    ("LLC", "L.L.C."),
    ("Inc.", "Incorporated"),
    ("Corp", "Corporation"),
    ("Ltd", "Limited"),
    ("Co.", "Company"),
)

Case = tuple[str, CustomerSearch, CustomerKey | None]


@dataclass(frozen=True)
class Person:
    """Somebody (or a firm) as known to the one who writes the test, and the account if there is one."""

    given: str
    family: str
    number: int
    street: str
    way: int
    unit: str
    place: tuple[str, str, str, str]
    postal: str
    email: str
    phone: str
    web_id: str = ""
    firm: str = ""
    key: CustomerKey | None = None

    @property
    def name(self) -> str:
        """As it would be written on a letter."""
        return self.firm or f"{self.given} {self.family}"

    def line(self, spelling: int = 0) -> str:
        """Street and number, written out or abbreviated."""
        return f"{self.number} {self.street} {WAYS[self.way][spelling]}"


@dataclass
class Town:
    """2,200 accounts, and orders of their owners and of newcomers."""

    seed: int
    accounts: dict[CustomerKey, CustomerRecord] = field(default_factory=dict)
    consumers: list[Person] = field(default_factory=list)
    dealers: list[Person] = field(default_factory=list)
    firms: list[Person] = field(default_factory=list)
    """Small firms that are web customers."""
    closed: list[Person] = field(default_factory=list)
    """Whose accounts are inactive."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - repeatable on purpose
        self.serial = 0
        for _ in range(1_700):
            self.consumers.append(self.settle(self.newcomer()))
        for one in self.random.sample(self.consumers, 120):
            # A household: another given name, the same door; every second one shares the mailbox.
            other = self.somebody_at(one)
            shared = one.email if self.serial % 2 else other.email
            self.settle(replace(other, family=one.family, unit=one.unit, phone=one.phone, email=shared))
        for _ in range(30):
            one = self.newcomer()
            self.closed.append(self.settle(replace(one, email=one.email or self.mail("z")), CustomerStatus="I"))
        for _ in range(340):
            firm = f"{self.random.choice(FAMILY)} {self.random.choice(TRADE)} {self.random.choice(SUFFIXES)[0]}"
            self.dealers.append(self.open(replace(self.newcomer(), firm=firm)))
        for one in self.random.sample(self.dealers, 40):
            stem = one.firm.rpartition(" ")[0]
            self.open(
                replace(one, firm=f"{stem} {one.place[0]} {self.random.choice(SUFFIXES)[0]}", email=self.mail("hq"))
            )
        for number in range(60):
            one = replace(self.newcomer(), email=self.mail("owner"))
            trade, initials = self.random.choice(TRADE), self.random.sample("ABCDEFGHJK", 2)
            firm = (f"{one.family} {trade} LLC", f"{one.family} {trade}", " & ".join(initials) + f" {trade}")[
                number % 3
            ]
            self.firms.append(self.settle(replace(one, firm=firm)))
        for guest_id in ("0", "00000000-0000-0000-0000-000000000000"):
            # Made for a guest by a release that took the shop's constant id for his own.
            self.settle(replace(self.newcomer(), web_id=guest_id))

    # ---- accounts -------------------------------------------------------------------------------------------------

    def settle(self, person: Person, **columns: str) -> Person:
        """A consumer account of the web division."""
        return self._account(
            person, "02", f"W{len(self.accounts):06d}", {"TermsCode": "00", "CustomerType": "WEB"} | columns
        )

    def open(self, person: Person) -> Person:
        """A dealer's account, with terms."""
        return self._account(person, "01", f"{len(self.accounts):07d}", {"TermsCode": "01", "PriceLevel": "2"})

    def _account(self, person: Person, division: str, number: str, columns: dict[str, str]) -> Person:
        key = CustomerKey(ARDivisionNo=division, CustomerNo=number)
        record = CustomerRecord(
            ARDivisionNo=division,
            CustomerNo=number,
            CustomerName=person.name,
            AddressLine1=person.line(),
            AddressLine2=person.unit,
            City=person.place[0],
            ZipCode=person.postal,
            CountryCode="USA",
            TelephoneNo=f"({person.phone[:3]}) {person.phone[3:6]}-{person.phone[6:]}" if person.phone else "",
            EmailAddress=person.email,
            UDF_WEB_CUSTOMER_ID=person.web_id,
            other_emails={self.mail("staff"): EmailSource.CONTACT} if division == "01" else {},
        )
        self.accounts[key] = record.model_copy(update=columns)
        return replace(person, key=key)

    # ---- people ---------------------------------------------------------------------------------------------------

    def mail(self, who: str) -> str:
        """An address that nobody else has."""
        self.serial += 1
        return f"{who.lower()}{self.serial}@example.com"

    def newcomer(self) -> Person:
        """Somebody whom nobody knows: one in eight has no e-mail, one in four no phone."""
        pick = self.random
        place = pick.choice(PLACES)
        given, family = pick.choice(GIVEN), pick.choice(FAMILY)
        return Person(
            given=given,
            family=family,
            number=pick.randrange(1, 4000),
            street=pick.choice(STREETS),
            way=pick.randrange(len(WAYS)),
            unit=f"Apt {pick.randrange(1, 60)}" if pick.random() < 0.4 else "",
            place=place,
            postal=f"{place[2]}{pick.randrange(10, 40)}",
            email=self.mail("p") if pick.random() < 0.875 else "",
            phone=f"{place[3]}{pick.randrange(220, 990)}{pick.randrange(10_000):04d}" if pick.random() < 0.75 else "",
            web_id=f"c{self.mail('')[:-12]}" if pick.random() < 0.25 else "",
        )

    def somebody_at(self, known: Person, unit: str | None = None) -> Person:
        """A newcomer who lives where `known` lives, under another name."""
        new = self.newcomer()
        while new.given[:2] == known.given[:2] or new.family == known.family:
            new = self.newcomer()
        return replace(
            new, number=known.number, street=known.street, way=known.way, place=known.place, postal=known.postal,
            unit=known.unit if unit is None else unit, key=None,
        )  # fmt: skip

    def typo(self, text: str) -> str:
        """One slip of the finger, not on the first letter."""
        at = self.random.randrange(1, len(text) - 1)
        return self.random.choice(
            (
                text[:at] + text[at + 1] + text[at] + text[at + 2 :],
                text[:at] + text[at + 1 :],
                text[:at] + text[at] + text[at:],
                text[:at] + self.random.choice("aeinrst") + text[at + 1 :],
            )
        )

    def search(self, person: Person, **changes: object) -> CustomerSearch:
        """A guest's order, paid in full, the way people type it."""
        spelling = self.random.randrange(2)
        search = CustomerSearch(
            email=person.email,
            bill_to_name=person.name.upper() if self.random.random() < 0.1 else person.name,
            bill_to_line1=f"{person.line(spelling)} {person.unit}".strip() if spelling else person.line(),
            bill_to_line2="" if spelling else person.unit,
            bill_to_postal_code=person.postal + ("-1234" if self.random.random() < 0.1 else ""),
            bill_to_country="US",
            phone=f"{person.phone[:3]}-{person.phone[3:6]}-{person.phone[6:]}" if person.phone else "",
            fully_captured=True,
            match_key="",
            new_customer=NewCustomer(ARDivisionNo="02", CustomerName=person.name),
        )
        return search.model_copy(update=changes)

    # ---- orders ---------------------------------------------------------------------------------------------------

    def orders(self) -> Iterator[Case]:
        """Every kind of order 50 times, newcomers more often."""
        for _ in range(50):
            yield from self.of_known_people()
            yield from self.of_dealers()
            for _ in range(6):
                yield "new: nobody knows them", self.search(self.newcomer()), None
            yield from self.of_newcomers_near()
            yield from self.of_families()
            yield from self.of_sister_firms()

    def somebody(self, *, with_email: bool = False, with_phone: bool = False) -> Person:
        """A known consumer."""
        while True:
            one = self.random.choice(self.consumers)
            if (one.email or not with_email) and (one.phone or not with_phone):
                return one

    def of_known_people(self) -> Iterator[Case]:
        """Owners of consumer accounts, with what changes in a life and at a keyboard."""
        one = self.somebody(with_email=True)
        yield "known: as before", self.search(one), one.key
        one = self.somebody(with_email=True)
        slip = replace(one, family=self.typo(one.family))
        yield "known: typo in the name, same e-mail", self.search(slip), one.key
        one = self.nicknamed()
        yield "known: nickname, same e-mail", self.search(replace(one, given=SHORT[one.given])), one.key
        one = self.somebody(with_email=True)
        yield "known: moved, same e-mail", self.search(self.moved(one)), one.key
        one = self.somebody(with_email=True)
        married = replace(one, family=self.random.choice(FAMILY))
        yield "known: married name, same e-mail", self.search(married), one.key
        yield "known: married name, moved, same e-mail", self.search(self.moved(married)), one.key
        yield "known: not paid in full", self.search(one, fully_captured=False), one.key
        one = self.somebody(with_phone=True)
        yield "known: new e-mail, same phone", self.search(self.new_mail(one)), one.key
        one = self.somebody()
        yield "known: new e-mail, no phone", self.search(replace(self.new_mail(one), phone="")), one.key
        slip = replace(self.new_mail(one), family=self.typo(one.family), phone="")
        yield "known: new e-mail, no phone, typo", self.search(slip), one.key
        slip = replace(self.new_mail(one), given=self.typo(one.given) if len(one.given) > 3 else one.given, phone="")
        yield "known: new e-mail, no phone, typo in given name", self.search(slip), one.key
        slip = replace(slip, family=self.typo(one.family))
        yield "known: new e-mail, no phone, typos in both names", self.search(slip), one.key
        one = self.nicknamed()
        short = replace(self.new_mail(one), given=SHORT[one.given], phone="")
        yield "known: new e-mail, no phone, nickname", self.search(short), one.key
        one = self.somebody()
        turned = self.search(replace(self.new_mail(one), phone=""), bill_to_name=f"{one.family}, {one.given}")
        yield "known: new e-mail, family name first", turned, one.key
        married = replace(self.new_mail(one), family=self.random.choice(FAMILY), phone="")
        yield "known: new e-mail, no phone, married name", self.search(married), one.key
        one = self.somebody(with_phone=True)
        yield "known: new e-mail, moved, same phone", self.search(self.new_mail(self.moved(one))), one.key
        across = replace(self.new_mail(one), number=one.number + 100, street="Harbor", unit="", phone="")
        yield "known: new e-mail, moved in the postal code", self.search(across), one.key
        gone = replace(self.new_mail(self.moved(one)), phone="")
        yield "known: nothing left but the name", self.search(gone), one.key
        while not (one.web_id and one.email):
            one = self.somebody(with_email=True)
        signed_in = self.search(self.new_mail(self.moved(one)), clarity_id=one.web_id)
        yield "known: signed in, new e-mail, moved", signed_in, one.key
        again = self.search(replace(self.new_mail(one), phone=""), clarity_id=self.mail("c"))
        yield "known: registered again, new e-mail, no phone", again, one.key
        closed = self.random.choice(self.closed)
        yield "known: inactive account", self.search(closed), closed.key

    def of_dealers(self) -> Iterator[Case]:
        """Dealers' buyers: signed in, as guests, under their firm's name."""
        firm = self.random.choice(self.dealers)
        guest = self.search(replace(firm, email=self.mail("b"), phone=""))
        named = guest.model_copy(update={"account_no": str(firm.key)})
        yield "dealer: account number", named.model_copy(update={"clarity_id": self.mail("c")}), firm.key
        yield "dealer: account number typed by a guest", named.model_copy(update={"clarity_id": "0"}), firm.key
        yield "dealer: guest with the firm's name and address", guest, firm.key
        spelt = dict(SUFFIXES)[firm.firm.rpartition(" ")[2]]
        variant = replace(firm, firm=f"{firm.firm.rpartition(' ')[0]}, {spelt}", email="", phone="")
        yield "dealer: another spelling of the suffix", self.search(variant), firm.key
        while not firm.email:
            firm = self.random.choice(self.dealers)
        yield "new: a guest with a dealer's e-mail", self.search(replace(self.newcomer(), email=firm.email)), None
        assert firm.key is not None
        contact = next(iter(self.accounts[firm.key].other_emails))
        yield "new: a dealer's contact orders for himself", self.search(replace(self.newcomer(), email=contact)), None

    def of_newcomers_near(self) -> Iterator[Case]:
        """New people who have something in common with a known one."""
        one = self.somebody(with_email=True)
        yield "new: moved in where a customer lived", self.search(self.somebody_at(one)), None
        yield "new: the same building", self.search(self.somebody_at(one, unit="Apt 99")), None
        spouse = replace(self.somebody_at(one), family=one.family)
        yield "new: spouse, own e-mail", self.search(spouse), None
        yield "new: spouse, same phone", self.search(replace(spouse, phone=one.phone)), None
        yield "new: spouse, the household's mailbox", self.search(replace(spouse, email=one.email)), None
        namesake = replace(self.newcomer(), given=one.given, family=one.family)
        yield "new: namesake elsewhere", self.search(namesake), None

    def of_families(self) -> Iterator[Case]:
        """People of one name, door and mailbox who are two; and mailboxes that are not one person's."""
        one = self.somebody(with_email=True)
        yield "new: the son, Jr., same mailbox", self.search(one, bill_to_name=f"{one.name} Jr."), None
        yield "new: the wife by her husband's name", self.search(one, bill_to_name=f"Mrs. {one.name}"), None
        couple = f"{self.partner_of(one)} and {one.name}"
        yield "new: a couple, same mailbox", self.search(one, bill_to_name=couple), None
        spouse = f"{self.partner_of(one)} {one.family}"
        yield "new: partner, same initial, same mailbox", self.search(one, bill_to_name=spouse), None
        flat = replace(one, unit="Bldg 2 Apt 4")
        yield (
            "new: another building, other name, same mailbox",
            self.search(flat, bill_to_name=f"{one.given} {self.random.choice(FAMILY)}-Neighbour"),
            None,
        )
        guest_id = self.random.choice(("0", "-1", "00000000-0000-0000-0000-000000000000", "guest"))
        yield "new: a guest with the shop's id for guests", self.search(self.newcomer(), clarity_id=guest_id), None
        one = self.settle(replace(self.newcomer(), email=self.mail("d")))
        self.rewrite(one, EmailAddress=f"{one.name} <{one.email.upper()}>")
        yield "known: display name in the e-mail column, same e-mail", self.search(one), one.key
        one = self.settle(replace(self.newcomer(), email=self.mail("d")))
        two = self.settle(replace(self.newcomer(), email=one.email))
        self.rewrite(two, EmailAddress=f"{two.name} <{one.email}> old@example.com")
        yield "new: a mailbox on two accounts, one with a display name", self.search(one), None
        boxed = self.settle(replace(self.newcomer(), email=f"accounts.payable+{self.serial}@example.com"))
        yield "new: a role mailbox with a tag", self.search(replace(self.newcomer(), email=boxed.email)), None
        father = self.settle(replace(self.newcomer(), email=self.mail("f")))
        self.rewrite(father, CustomerName=f"Mr. {father.name}")
        yield "new: Mrs. for Mr., same mailbox", self.search(father, bill_to_name=f"Mrs. {father.name}"), None

    def of_sister_firms(self) -> Iterator[Case]:
        """Firms of one owner: one address, one mailbox, names alike."""
        firm = self.random.choice(self.firms)
        yield "known: small firm as before", self.search(firm), firm.key
        others = [trade for trade in TRADE if trade not in firm.firm]
        sister = f"{firm.family} {self.random.choice(others)}"
        for suffix in ("", " LLC", " Inc."):
            yield "new: sister firm, same address and mailbox", self.search(firm, bill_to_name=sister + suffix), None
        head, _, suffix = firm.firm.partition(" LLC")
        second = f"{head} II{' LLC' if _ else suffix}"
        yield "new: second firm of that name, same mailbox", self.search(self.moved(firm), bill_to_name=second), None
        trade = firm.firm.partition(" & ")[2][2:] or self.random.choice(others)
        letters = " & ".join(self.random.sample("MNPQRST", 2))
        yield "new: firm of other initials, same mailbox", self.search(firm, bill_to_name=f"{letters} {trade}"), None
        owner = replace(self.newcomer(), number=firm.number, street=firm.street, way=firm.way, unit=firm.unit)
        at_firm = replace(owner, place=firm.place, postal=firm.postal, email=firm.email)
        yield "new: a person at a firm's address and mailbox", self.search(at_firm), None

    def partner_of(self, one: Person) -> str:
        """Another given name with the same initial, where there is one."""
        same = [given for given in GIVEN if given[0] == one.given[0] and given[:3] != one.given[:3]]
        return self.random.choice(same or [given for given in GIVEN if given != one.given])

    def rewrite(self, one: Person, **columns: str) -> None:
        """Change columns of an account, as a clerk does."""
        assert one.key is not None
        self.accounts[one.key] = self.accounts[one.key].model_copy(update=columns)

    def nicknamed(self) -> Person:
        """A known consumer with e-mail whose given name has a short form."""
        while (one := self.somebody(with_email=True)).given not in SHORT:
            pass
        return one

    def moved(self, one: Person) -> Person:
        """The same person in another town; the phone stays."""
        new = self.newcomer()
        return replace(new, given=one.given, family=one.family, email=one.email, phone=one.phone, web_id=one.web_id)

    def new_mail(self, one: Person) -> Person:
        """The same person with another e-mail."""
        return replace(one, email=self.mail("q"))
