"""Accounts receivable: cash receipts in batches, by hand or over HTTP, and deposits that somebody changes on an order.

In: lines of a receipt. Out: rows of AR_CashReceipts* (entered), AR_CashReceiptsHistory (posted). Posting an invoice's
payment lowers AR_OpenInvoice.Balance, a prepayment makes an open invoice of type PP. Raises `Refusal`.
"""

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field

from sandbox.sage100.company import Company, Refusal, Row, to_decimal
from sandbox.sage100.orders import column_value, money, refuse

BUS = "AR_CashReceipts_Bus"
KEY = ("BankCode", "DepositDate", "DepositNo")
LINE_COLUMNS = (
    "ARDivisionNo", "CustomerNo", "CheckNo", "PaymentType", "InvoiceNo", "InvoiceType", "AccountKey",
    "CashAmountApplied",
)  # fmt: skip
OPEN_TABLE, POSTED_TABLE = "AR_CashReceiptsDetail", "AR_CashReceiptsHistory"
CHARGES_NOTHING = ("O", "C")
"""AR_PaymentType.PaymentMethod other and check: entering one of them moves no money."""


class ReceiptLine(BaseModel):
    """What one payment of the deposit pays: an invoice, a prepayment (InvoiceType PP), or a ledger account."""

    ARDivisionNo: str
    CustomerNo: str
    CheckNo: str = Field(min_length=1, max_length=10)
    PaymentType: str = ""
    InvoiceNo: str = ""
    InvoiceType: Literal["IN", "PP", ""] = "IN"
    AccountKey: str = Field(default="", max_length=9)
    CashAmountApplied: Decimal


class CashReceipts(BaseModel):
    """`POST /_control/cash_receipts`: a deposit with its lines; posted at once unless told otherwise."""

    BankCode: str = Field(default="W", max_length=1)
    DepositDate: date | None = None
    DepositNo: str = Field(default="00001", max_length=5)
    Lines: list[ReceiptLine] = Field(min_length=1)
    Post: bool = True


class PostReceipts(BaseModel):
    """`POST /_control/post_receipts`: the Cash Receipts Journal update of one deposit, or of all."""

    BankCode: str = ""
    DepositNo: str = ""


class ChangeDeposit(BaseModel):
    """`POST /_control/deposit`: somebody changes the deposit of a live order."""

    SalesOrderNo: str
    DepositAmt: Decimal
    OtherPaymentTypeRefNo: str | None = None


class Cashier:
    """People who enter and post receipts."""

    def __init__(self, company: Company) -> None:
        self.company = company

    def receive(self, wanted: CashReceipts) -> Row:
        """Enter a batch, and post it."""
        company = self.company
        day = wanted.DepositDate or company.today()
        key = {"BankCode": wanted.BankCode, "DepositDate": day.isoformat(), "DepositNo": wanted.DepositNo}
        with company.transaction():
            self._enter(key, [line.model_dump() for line in wanted.Lines])
            if wanted.Post:
                self.post(key)
        return {**key, "Posted": wanted.Post}

    # ---- POST /AR/CashReceipt ---------------------------------------------------------------------------------------

    def create(self, body: Row) -> tuple[Row, int]:
        """Enter a batch under its key (201); the same again changes nothing (200), another content neither (409)."""
        with self.company.transaction():
            key = self._key(body)
            lines = self._lines(body)
            known = [row for table in (OPEN_TABLE, POSTED_TABLE) for row in self.company.select(table, **key)]
            known.sort(key=lambda row: str(row["SequenceNo"]))
            careless = bool(known) and self.company.switch("careless_gateway") == "Y"
            if known and not careless:
                if [stored_line(row) for row in known] != [stored_line(line) for line in lines]:
                    message = f"Deposit {key['DepositNo']} of {key['DepositDate']} already exists; nothing was changed."
                    raise Refusal(409, "AR_Exists", message)
                return self._answer(key, known), 200
            self._check_open(key)
            for number, line in enumerate(lines, start=1):
                self._check_line(line, number, lines[: number - 1])
            self._enter(key, lines, first=len(known) + 1)
        return self._answer(key, lines), 201

    def _key(self, body: Row) -> Row:
        key = {name: str(body.get(name) or "") for name in KEY}
        if key["BankCode"] not in self.company.facts["bank_codes"]:
            raise refuse(BUS, "BankCode", f"The bank code {key['BankCode']!r} is not on file.")
        if not (0 < len(key["DepositNo"]) <= 5 and key["DepositNo"].isascii() and key["DepositNo"].isalnum()):
            raise refuse(BUS, "DepositNo", "The deposit number must be 1 to 5 letters and digits.")
        key["DepositDate"] = str(column_value(BUS, OPEN_TABLE, "DepositDate", key["DepositDate"]))
        return key

    def _check_open(self, key: Row) -> None:
        day, closed = key["DepositDate"], self.company.switch("closed_through")
        if not day or day <= closed:
            raise refuse(BUS, "DepositDate", f"The period of {day} is closed (through {closed}).")
        if day > self.company.today().isoformat():
            raise refuse(BUS, "DepositDate", f"{day} lies in the future.")

    @staticmethod
    def _lines(body: Row) -> list[Row]:
        given = body.get("Lines")
        if not isinstance(given, list) or not given:
            raise refuse(BUS, "Lines", "The deposit must have at least one line.")
        lines = []
        for number, line in enumerate(given, start=1):
            if not isinstance(line, dict):
                raise refuse(BUS, "Lines", f"Line {number} is not an object.")
            for name in line:
                if name not in LINE_COLUMNS:
                    raise refuse(BUS, name, "The column does not exist.")
            lines.append({name: column_value(BUS, OPEN_TABLE, name, line.get(name, "")) for name in LINE_COLUMNS})
        return lines

    def _check_line(self, line: Row, number: int, before: list[Row]) -> None:
        """A customer, a reference, an amount, and one thing that is paid."""
        company, amount = self.company, to_decimal(line["CashAmountApplied"])
        customer = {"ARDivisionNo": line["ARDivisionNo"], "CustomerNo": line["CustomerNo"]}
        if company.find("AR_Customer", **customer) is None:
            raise refuse(
                BUS, "CustomerNo", f"Line {number}: the customer {'-'.join(customer.values())} is not on file."
            )
        if not line["CheckNo"]:
            raise refuse(BUS, "CheckNo", f"Line {number}: the check number is required.")
        kind = company.find("AR_PaymentType", PaymentType=line["PaymentType"])
        if kind is None or kind["PaymentMethod"] not in CHARGES_NOTHING:
            said = "is not on file" if kind is None else "would charge a card or a bank account"
            raise refuse(BUS, "PaymentType", f"Line {number}: the payment type {line['PaymentType']!r} {said}.")
        if not amount:
            raise refuse(BUS, "CashAmountApplied", f"Line {number}: the amount must not be zero.")
        if line["InvoiceType"] == "IN":
            self._check_invoice(line, number, before)
        elif line["InvoiceType"] == "PP":
            if len(line["InvoiceNo"]) != 7 or line["AccountKey"]:
                raise refuse(BUS, "InvoiceNo", f"Line {number}: a prepayment needs a number of 7 characters.")
        elif line["InvoiceType"] or line["InvoiceNo"] or line["AccountKey"] not in company.facts["gl_accounts"]:
            raise refuse(BUS, "AccountKey", f"Line {number}: neither an invoice, a prepayment nor an account on file.")

    def _check_invoice(self, line: Row, number: int, before: list[Row]) -> None:
        """Open, and not paid beyond its balance, what is entered and not posted counted."""
        names = ("ARDivisionNo", "CustomerNo", "InvoiceNo", "InvoiceType")
        key = {name: line[name] for name in names}
        invoice = self.company.find("AR_OpenInvoice", **key)
        if invoice is None:
            raise refuse(BUS, "InvoiceNo", f"Line {number}: invoice {line['InvoiceNo']} is not open.")
        others = [
            *self.company.select(OPEN_TABLE, **key),
            *(one for one in before if all(one[n] == key[n] for n in key)),
        ]
        rest = to_decimal(invoice["Balance"]) - sum(
            (to_decimal(one["CashAmountApplied"]) for one in others), Decimal(0)
        )
        amount = to_decimal(line["CashAmountApplied"])
        if amount < 0 or amount > rest:
            message = f"Line {number}: {money(amount)} is more than the balance {money(rest)} of {line['InvoiceNo']}."
            raise refuse(BUS, "CashAmountApplied", message)

    @staticmethod
    def _answer(key: Row, lines: list[Row]) -> Row:
        total = sum((to_decimal(line["CashAmountApplied"]) for line in lines), Decimal(0))
        return {**key, "DepositAmt": money(total), "Lines": [stored_line(line) for line in lines]}

    def _enter(self, key: Row, lines: list[Row], *, first: int = 1) -> None:
        for number, line in enumerate(lines, start=first):
            self.company.insert(
                OPEN_TABLE,
                **{
                    **key,
                    "DepositType": "C",
                    **line,
                    "SequenceNo": f"{number:06d}",
                    "TransactionType": "01" if line["InvoiceType"] == "IN" else "02",
                    **self.company.created(),
                },
            )

    def post_all(self, wanted: PostReceipts) -> list[str]:
        """Post the deposits that are entered; returns their numbers."""
        narrowed = {name: value for name, value in wanted.model_dump().items() if value}
        with self.company.transaction():
            rows = self.company.select(OPEN_TABLE, **narrowed)
            keys = list(dict.fromkeys(tuple(str(row[name]) for name in KEY) for row in rows))
            for values in keys:
                self.post(dict(zip(KEY, values, strict=True)))
        return [values[2] for values in keys]

    def post(self, key: Row) -> None:
        """The Cash Receipts Journal update: rows move to history, invoices are paid."""
        company = self.company
        for row in company.select(OPEN_TABLE, **key):
            company.insert(POSTED_TABLE, **{**row, "PostingDate": company.today()})
            paid = {name: row[name] for name in ("ARDivisionNo", "CustomerNo", "InvoiceNo", "InvoiceType")}
            paid["TransactionDate"] = row["DepositDate"]
            number = len(company.select("AR_TransactionPaymentHistory", **paid)) + 1
            company.insert(
                "AR_TransactionPaymentHistory",
                **paid,
                SequenceNo=f"{number:06d}",
                CheckNo=row["CheckNo"],
                TransactionType="P",
                PaymentDate=row["DepositDate"],
                PaymentType=row["PaymentType"],
                TransactionAmt=row["CashAmountApplied"],
                **company.updated(),
            )
            if row["InvoiceType"] == "IN" and row["InvoiceNo"]:
                self._pay(row)
            if row["InvoiceType"] == "PP" and row["InvoiceNo"]:
                self._prepay(row)
        company.delete(OPEN_TABLE, **key)

    def _pay(self, row: Row) -> None:
        names = ("ARDivisionNo", "CustomerNo", "InvoiceNo", "InvoiceType")
        key = {name: row[name] for name in names}
        invoice = self.company.find("AR_OpenInvoice", **key)
        if invoice is None:
            raise Refusal(422, "AR_NoInvoice", f"Invoice {row['InvoiceNo']} is not open.", "InvoiceNo")
        balance = to_decimal(invoice["Balance"]) - to_decimal(row["CashAmountApplied"])
        self.company.update("AR_OpenInvoice", key, Balance=balance, **self.company.updated())

    def _prepay(self, row: Row) -> None:
        """A prepayment is an open invoice below zero, until somebody applies it."""
        names = ("ARDivisionNo", "CustomerNo", "InvoiceNo", "InvoiceType")
        key = {name: row[name] for name in names}
        paid = to_decimal(row["CashAmountApplied"])
        invoice = self.company.find("AR_OpenInvoice", **key)
        if invoice is None:
            day = {"InvoiceDate": row["DepositDate"], "InvoiceDueDate": row["DepositDate"]}
            self.company.insert("AR_OpenInvoice", **key, **day, Balance=-paid, **self.company.created())
            return
        balance = to_decimal(invoice["Balance"]) - paid
        self.company.update("AR_OpenInvoice", key, Balance=balance, **self.company.updated())

    def change_deposit(self, wanted: ChangeDeposit) -> Row:
        """Another amount, maybe another reference."""
        key = {"SalesOrderNo": wanted.SalesOrderNo}
        if self.company.find("SO_SalesOrderHeader", **key) is None:
            raise Refusal(404, "SO_NotFound", f"Sales order {wanted.SalesOrderNo} is not open.")
        more = {} if wanted.OtherPaymentTypeRefNo is None else {"OtherPaymentTypeRefNo": wanted.OtherPaymentTypeRefNo}
        self.company.update("SO_SalesOrderHeader", key, DepositAmt=wanted.DepositAmt, **more, **self.company.updated())
        return {**key, "DepositAmt": str(wanted.DepositAmt)}


def stored_line(row: Row) -> Row:
    """A line as it is told, the same whether it was sent or is stored."""
    return {name: money(row[name]) if name == "CashAmountApplied" else str(row[name] or "") for name in LINE_COLUMNS}
