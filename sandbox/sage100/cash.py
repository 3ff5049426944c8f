"""Accounts receivable by hand: cash receipts in batches, and deposits that somebody changes on an order.

In: lines of a receipt. Out: rows of AR_CashReceipts* (entered), AR_CashReceiptsHistory (posted). Posting an invoice's
payment lowers AR_OpenInvoice.Balance.
"""

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field

from sandbox.sage100.company import Company, Refusal, Row, to_decimal


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
            for number, line in enumerate(wanted.Lines, start=1):
                row = {
                    **key,
                    "DepositType": "C",
                    **line.model_dump(),
                    "SequenceNo": f"{number:06d}",
                    "TransactionType": "01" if line.InvoiceType == "IN" else "02",
                    **company.created(),
                }
                company.insert("AR_CashReceiptsDetail", **row)
            if wanted.Post:
                self.post(key)
        return {**key, "Posted": wanted.Post}

    def post(self, key: Row) -> None:
        """The Cash Receipts Journal update: rows move to history, invoices are paid."""
        company = self.company
        for row in company.select("AR_CashReceiptsDetail", **key):
            company.insert("AR_CashReceiptsHistory", **{**row, "PostingDate": company.today()})
            number = len(company.select("AR_TransactionPaymentHistory", CheckNo=row["CheckNo"])) + 1
            company.insert(
                "AR_TransactionPaymentHistory",
                ARDivisionNo=row["ARDivisionNo"],
                CustomerNo=row["CustomerNo"],
                InvoiceNo=row["InvoiceNo"],
                InvoiceType=row["InvoiceType"],
                TransactionDate=row["DepositDate"],
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
        company.delete("AR_CashReceiptsDetail", **key)

    def _pay(self, row: Row) -> None:
        names = ("ARDivisionNo", "CustomerNo", "InvoiceNo", "InvoiceType")
        key = {name: row[name] for name in names}
        invoice = self.company.find("AR_OpenInvoice", **key)
        if invoice is None:
            raise Refusal(422, "AR_NoInvoice", f"Invoice {row['InvoiceNo']} is not open.", "InvoiceNo")
        balance = to_decimal(invoice["Balance"]) - to_decimal(row["CashAmountApplied"])
        self.company.update("AR_OpenInvoice", key, Balance=balance, **self.company.updated())

    def change_deposit(self, wanted: ChangeDeposit) -> Row:
        """Another amount, maybe another reference."""
        key = {"SalesOrderNo": wanted.SalesOrderNo}
        if self.company.find("SO_SalesOrderHeader", **key) is None:
            raise Refusal(404, "SO_NotFound", f"Sales order {wanted.SalesOrderNo} is not open.")
        more = {} if wanted.OtherPaymentTypeRefNo is None else {"OtherPaymentTypeRefNo": wanted.OtherPaymentTypeRefNo}
        self.company.update("SO_SalesOrderHeader", key, DepositAmt=wanted.DepositAmt, **more, **self.company.updated())
        return {**key, "DepositAmt": str(wanted.DepositAmt)}
