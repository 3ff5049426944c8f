"""An example for each key of a pair file, and the smallest pair file: what docs/pair-file.md shows.

In: nothing. Out: `EXAMPLES`, each of them a piece of YAML that together with `SMALLEST` makes a pair file that loads;
a test loads them all. Beside its key an example has what the key needs: `commits` goes with `policy: engine`.
"""

from typing import Final

SMALLEST: Final = """\
company: {code: ABC, currency: USD, time_zone: America/Chicago, price_decimals: 3, quantity_decimals: 2}
go_live: 2026-01-01
order: {}
charges: {line_discount: /WEBDISC, order_discount: /WEBDISC, rounding: /ROUND}
tax: {default: NONTAX, exempt: NONTAX}
payments:
  - {gateway: stripe, payment_type: STRIP}
customers: {divisions: ["02"], new_division: "02", terms_code: "00"}
credit: {limit_zero: unlimited}
checks:
  - {name: credit, on_fail: credit}
  - {name: stock, on_fail: out_of_stock}
"""

_LINES: Final = r"""
company  company: {code: ABC, currency: USD, time_zone: America/Chicago, price_decimals: 3, quantity_decimals: 2}
company.code  company: {code: XYZ}
company.currency  company: {currency: CAD}
company.time_zone  company: {time_zone: America/Toronto}
company.price_decimals  company: {price_decimals: 2}
company.quantity_decimals  company: {quantity_decimals: 0}
company.other_currencies  company: {other_currencies: {CAD: canada}}
go_live  go_live: 2026-03-01
mode  mode: shadow
shadow  shadow: {typed_as: ["{number}"], days: 14, at: "05:00"}
shadow.typed_as  shadow: {typed_as: ["{number}", "WEB {number}"]}
shadow.typed_within_days  shadow: {typed_within_days: 1}
shadow.days  shadow: {days: 7}
shadow.at  shadow: {at: "07:30"}
shadow.tolerance  shadow: {tolerance: 0.05}
max_lines  max_lines: 500

clarity  clarity: {auth: api_key}
clarity.auth  clarity: {auth: login}
clarity.scope  clarity: {scope: integration}
clarity.login  clarity: {auth: login, login: {user: email, token: accessToken}}
clarity.login.user  clarity: {auth: login, login: {user: email}}
clarity.login.password  clarity: {auth: login, login: {password: secret}}
clarity.login.token  clarity: {auth: login, login: {token: data.accessToken}}
clarity.login.lifetime  clarity: {auth: login, login: {lifetime: expiresIn}}
clarity.headers  clarity: {headers: {fixed: {X-Store-Brand: main}}}
clarity.headers.api_key  clarity: {auth: api_key, headers: {api_key: X-Store-Key}}
clarity.headers.token  clarity: {headers: {token: X-Access-Token, token_prefix: ""}}
clarity.headers.token_prefix  clarity: {headers: {token_prefix: "JWT "}}
clarity.headers.fixed  clarity: {headers: {fixed: {X-Store-Brand: main, Accept-Language: en-US}}}
clarity.routes  clarity: {routes: {orders: /Ordering/SalesOrder, order: "/Ordering/SalesOrder/{id}"}}
clarity.routes.token  clarity: {routes: {token: /auth/login}}
clarity.routes.orders  clarity: {routes: {orders: /Ordering/SalesOrder}}
clarity.routes.order  clarity: {routes: {order: "/Ordering/SalesOrder/{id}"}}
clarity.routes.shipments  clarity: {routes: {shipments: /Shipping/Shipment}}
clarity.routes.shipment  clarity: {routes: {shipment: "/Shipping/Shipment/{id}"}}
clarity.routes.customer  clarity: {routes: {customer: "/Contacts/Customer/{id}"}}
clarity.routes.products  clarity: {routes: {products: /Catalog/Product}}
clarity.routes.product  clarity: {routes: {product: "/Catalog/Product/{id}"}}
clarity.routes.customers  clarity: {routes: {customers: null}}
clarity.routes.inventory  clarity: {routes: {inventory: /Inventory/StockLevel}}
clarity.routes.payments  clarity: {routes: {payments: /Payments/Payment}}
clarity.routes.payouts  clarity: {routes: {payouts: null}}
clarity.methods  clarity: {methods: {order: PUT, shipment: PUT}}
clarity.methods.order  clarity: {methods: {order: PUT}}
clarity.methods.shipment  clarity: {methods: {shipment: POST}}
clarity.methods.customer  clarity: {methods: {customer: PUT}}
clarity.methods.product  clarity: {methods: {product: PUT}}
clarity.methods.inventory  clarity: {methods: {inventory: POST}}
clarity.paging  clarity: {paging: {first_page: 1, page_size: 100}}
clarity.paging.first_page  clarity: {paging: {first_page: 1}}
clarity.paging.page_size  clarity: {paging: {page_size: 100}}
clarity.paging.page_parameter  clarity: {paging: {page_parameter: page}}
clarity.paging.size_parameter  clarity: {paging: {size_parameter: size}}
clarity.paging.items_field  clarity: {paging: {items_field: Results}}
clarity.paging.total_field  clarity: {paging: {total_field: Paging.Total}}
clarity.filters  clarity: {filters: {updatedDateMin: modifiedSince}}
clarity.filters.updatedDateMin  clarity: {filters: {updatedDateMin: modifiedSince}}
clarity.filters.orderId  clarity: {filters: {orderId: salesOrderIdContains}}
clarity.filters.externalReference  clarity: {filters: {externalReference: erpKeyContains}}
clarity.errors  clarity: {errors: {message: Message, details: Errors}}
clarity.errors.message  clarity: {errors: {message: Message}}
clarity.errors.details  clarity: {errors: {details: Errors}}
clarity.errors.field  clarity: {errors: {field: Field}}
clarity.errors.text  clarity: {errors: {text: Text}}
clarity.fields  clarity: {fields: {order: {id: ID, number: Number}}}
clarity.fields.event  clarity: {fields: {event: {type: Event}}}
clarity.fields.event.type  clarity: {fields: {event: {type: Event}}}
clarity.fields.event.timestamp  clarity: {fields: {event: {timestamp: Occurred}}}
clarity.fields.event.data  clarity: {fields: {event: {data: Entity}}}
clarity.fields.order  clarity: {fields: {order: {id: ID}}}
clarity.fields.order.id  clarity: {fields: {order: {id: ID}}}
clarity.fields.order.number  clarity: {fields: {order: {number: Number}}}
clarity.fields.order.status  clarity: {fields: {order: {status: StatusName}}}
clarity.fields.order.createdDate  clarity: {fields: {order: {createdDate: CreatedDate}}}
clarity.fields.order.updatedDate  clarity: {fields: {order: {updatedDate: UpdatedDate}}}
clarity.fields.order.currency  clarity: {fields: {order: {currency: CurrencyKey}}}
clarity.fields.order.customer  clarity: {fields: {order: {customer: Account}}}
clarity.fields.order.billingAddress  clarity: {fields: {order: {billingAddress: BillingContact}}}
clarity.fields.order.shippingAddress  clarity: {fields: {order: {shippingAddress: ShippingContact}}}
clarity.fields.order.items  clarity: {fields: {order: {items: SalesItems}}}
clarity.fields.order.shipping  clarity: {fields: {order: {shipping: ShippingMethod}}}
clarity.fields.order.discounts  clarity: {fields: {order: {discounts: Discounts}}}
clarity.fields.order.fees  clarity: {fields: {order: {fees: Fees}}}
clarity.fields.order.totals  clarity: {fields: {order: {totals: Sums}}}
clarity.fields.order.payments  clarity: {fields: {order: {payments: Payments}}}
clarity.fields.order.purchaseOrderNumber  clarity: {fields: {order: {purchaseOrderNumber: References.PurchaseOrder}}}
clarity.fields.order.requestedShipDate  clarity: {fields: {order: {requestedShipDate: RequestedShipDate}}}
clarity.fields.order.notes  clarity: {fields: {order: {notes: BuyerNotes}}}
clarity.fields.order.attributes  clarity: {fields: {order: {attributes: Attributes}}}
clarity.fields.order.externalReference  clarity: {fields: {order: {externalReference: References.Erp}}}
clarity.fields.order.invoiceReferences  clarity: {fields: {order: {invoiceReferences: Invoices}}}
clarity.fields.order.refundsDue  clarity: {fields: {order: {refundsDue: Credits}}}
clarity.fields.order.cancelledItems  clarity: {fields: {order: {cancelledItems: CancelledLines}}}
clarity.fields.customer  clarity: {fields: {customer: {id: ID}}}
clarity.fields.customer.id  clarity: {fields: {customer: {id: ID}}}
clarity.fields.customer.email  clarity: {fields: {customer: {email: Email}}}
clarity.fields.customer.firstName  clarity: {fields: {customer: {firstName: FirstName}}}
clarity.fields.customer.lastName  clarity: {fields: {customer: {lastName: LastName}}}
clarity.fields.customer.company  clarity: {fields: {customer: {company: CompanyName}}}
clarity.fields.customer.phone  clarity: {fields: {customer: {phone: Phone}}}
clarity.fields.customer.accountNumber  clarity: {fields: {customer: {accountNumber: AccountNumber}}}
clarity.fields.customer.taxExemptNo  clarity: {fields: {customer: {taxExemptNo: TaxExemptionNo}}}
clarity.fields.customer.externalReference  clarity: {fields: {customer: {externalReference: ErpKey}}}
clarity.fields.customer_record  clarity: {fields: {customer_record: {attributes: CustomFields}}}
clarity.fields.customer_record.billingAddress  clarity: {fields: {customer_record: {billingAddress: BillingContact}}}
clarity.fields.customer_record.shippingAddresses  clarity: {fields: {customer_record: {shippingAddresses: null}}}
clarity.fields.customer_record.attributes  clarity: {fields: {customer_record: {attributes: CustomFields}}}
clarity.fields.customer_record.updatedDate  clarity: {fields: {customer_record: {updatedDate: ModifiedDate}}}
clarity.fields.address  clarity: {fields: {address: {name: FullName}}}
clarity.fields.address.name  clarity: {fields: {address: {name: FullName}}}
clarity.fields.address.company  clarity: {fields: {address: {company: CompanyName}}}
clarity.fields.address.line1  clarity: {fields: {address: {line1: Street1}}}
clarity.fields.address.line2  clarity: {fields: {address: {line2: Street2}}}
clarity.fields.address.line3  clarity: {fields: {address: {line3: Street3}}}
clarity.fields.address.city  clarity: {fields: {address: {city: City}}}
clarity.fields.address.region  clarity: {fields: {address: {region: RegionCode}}}
clarity.fields.address.postalCode  clarity: {fields: {address: {postalCode: PostalCode}}}
clarity.fields.address.country  clarity: {fields: {address: {country: CountryCode}}}
clarity.fields.address.phone  clarity: {fields: {address: {phone: Phone}}}
clarity.fields.address.residential  clarity: {fields: {address: {residential: IsResidential}}}
clarity.fields.item  clarity: {fields: {item: {id: ID}}}
clarity.fields.item.id  clarity: {fields: {item: {id: ID}}}
clarity.fields.item.sku  clarity: {fields: {item: {sku: ProductSku}}}
clarity.fields.item.name  clarity: {fields: {item: {name: ProductName}}}
clarity.fields.item.quantity  clarity: {fields: {item: {quantity: Quantity}}}
clarity.fields.item.unitPrice  clarity: {fields: {item: {unitPrice: UnitPrice}}}
clarity.fields.item.discount  clarity: {fields: {item: {discount: DiscountAmount}}}
clarity.fields.item.tax  clarity: {fields: {item: {tax: TaxAmount}}}
clarity.fields.item.taxable  clarity: {fields: {item: {taxable: IsTaxable}}}
clarity.fields.item.attributes  clarity: {fields: {item: {attributes: Attributes}}}
clarity.fields.shipping  clarity: {fields: {shipping: {method: Name}}}
clarity.fields.shipping.method  clarity: {fields: {shipping: {method: Name}}}
clarity.fields.shipping.carrier  clarity: {fields: {shipping: {carrier: Carrier}}}
clarity.fields.shipping.amount  clarity: {fields: {shipping: {amount: Cost}}}
clarity.fields.shipping.tax  clarity: {fields: {shipping: {tax: Tax}}}
clarity.fields.discount  clarity: {fields: {discount: {code: Code}}}
clarity.fields.discount.code  clarity: {fields: {discount: {code: Code}}}
clarity.fields.discount.amount  clarity: {fields: {discount: {amount: Amount}}}
clarity.fields.fee  clarity: {fields: {fee: {code: Code}}}
clarity.fields.fee.code  clarity: {fields: {fee: {code: Code}}}
clarity.fields.fee.name  clarity: {fields: {fee: {name: Name}}}
clarity.fields.fee.amount  clarity: {fields: {fee: {amount: Amount}}}
clarity.fields.fee.taxable  clarity: {fields: {fee: {taxable: IsTaxable}}}
clarity.fields.totals  clarity: {fields: {totals: {items: ItemsTotal}}}
clarity.fields.totals.items  clarity: {fields: {totals: {items: ItemsTotal}}}
clarity.fields.totals.discount  clarity: {fields: {totals: {discount: DiscountTotal}}}
clarity.fields.totals.shipping  clarity: {fields: {totals: {shipping: ShippingTotal}}}
clarity.fields.totals.tax  clarity: {fields: {totals: {tax: TaxTotal}}}
clarity.fields.totals.fees  clarity: {fields: {totals: {fees: FeeTotal}}}
clarity.fields.totals.grand  clarity: {fields: {totals: {grand: GrandTotal}}}
clarity.fields.payment  clarity: {fields: {payment: {gateway: Provider}}}
clarity.fields.payment.gateway  clarity: {fields: {payment: {gateway: Provider}}}
clarity.fields.payment.method  clarity: {fields: {payment: {method: Method}}}
clarity.fields.payment.transactionId  clarity: {fields: {payment: {transactionId: TransactionNumber}}}
clarity.fields.payment.authorizationCode  clarity: {fields: {payment: {authorizationCode: AuthorizationCode}}}
clarity.fields.payment.type  clarity: {fields: {payment: {type: PaymentType}}}
clarity.fields.payment.amount  clarity: {fields: {payment: {amount: Amount}}}
clarity.fields.payment.currency  clarity: {fields: {payment: {currency: CurrencyKey}}}
clarity.fields.payment.last4  clarity: {fields: {payment: {last4: LastFour}}}
clarity.fields.payment.date  clarity: {fields: {payment: {date: PaymentDate}}}
clarity.fields.payment.orderId  clarity: {fields: {payment: {orderId: SalesOrderID}}}
clarity.fields.payment.fee  clarity: {fields: {payment: {fee: FeeAmount}}}
clarity.fields.payment.payoutId  clarity: {fields: {payment: {payoutId: null}}}
clarity.fields.payout  clarity: {fields: {payout: {gateway: Provider}}}
clarity.fields.payout.id  clarity: {fields: {payout: {id: ID}}}
clarity.fields.payout.gateway  clarity: {fields: {payout: {gateway: Provider}}}
clarity.fields.payout.date  clarity: {fields: {payout: {date: PayoutDate}}}
clarity.fields.payout.currency  clarity: {fields: {payout: {currency: CurrencyKey}}}
clarity.fields.payout.gross  clarity: {fields: {payout: {gross: GrossAmount}}}
clarity.fields.payout.fee  clarity: {fields: {payout: {fee: FeeAmount}}}
clarity.fields.payout.net  clarity: {fields: {payout: {net: NetAmount}}}
clarity.fields.invoice_reference  clarity: {fields: {invoice_reference: {invoiceNo: Number}}}
clarity.fields.invoice_reference.invoiceNo  clarity: {fields: {invoice_reference: {invoiceNo: Number}}}
clarity.fields.invoice_reference.invoiceDate  clarity: {fields: {invoice_reference: {invoiceDate: Date}}}
clarity.fields.invoice_reference.amount  clarity: {fields: {invoice_reference: {amount: Amount}}}
clarity.fields.refund_due  clarity: {fields: {refund_due: {creditMemoNo: Number}}}
clarity.fields.refund_due.creditMemoNo  clarity: {fields: {refund_due: {creditMemoNo: Number}}}
clarity.fields.refund_due.date  clarity: {fields: {refund_due: {date: CreatedOn}}}
clarity.fields.refund_due.amount  clarity: {fields: {refund_due: {amount: Amount}}}
clarity.fields.refund_due.rmaNo  clarity: {fields: {refund_due: {rmaNo: ReturnNumber}}}
clarity.fields.invoice_reference.tax  clarity: {fields: {invoice_reference: {tax: TaxAmount}}}
clarity.fields.invoice_reference.shipping  clarity: {fields: {invoice_reference: {shipping: null}}}
clarity.fields.cancelled_item  clarity: {fields: {cancelled_item: {orderItemId: SalesItemID}}}
clarity.fields.cancelled_item.orderItemId  clarity: {fields: {cancelled_item: {orderItemId: SalesItemID}}}
clarity.fields.cancelled_item.quantity  clarity: {fields: {cancelled_item: {quantity: Quantity}}}
clarity.fields.cancelled_item.reason  clarity: {fields: {cancelled_item: {reason: Reason}}}
clarity.fields.cancelled_item.refundRequested  clarity: {fields: {cancelled_item: {refundRequested: RefundRequested}}}
clarity.fields.shipment  clarity: {fields: {shipment: {id: ID}}}
clarity.fields.shipment.id  clarity: {fields: {shipment: {id: ID}}}
clarity.fields.shipment.orderId  clarity: {fields: {shipment: {orderId: SalesOrderID}}}
clarity.fields.shipment.externalReference  clarity: {fields: {shipment: {externalReference: ErpKey}}}
clarity.fields.shipment.status  clarity: {fields: {shipment: {status: StatusName}}}
clarity.fields.shipment.carrier  clarity: {fields: {shipment: {carrier: CarrierName}}}
clarity.fields.shipment.service  clarity: {fields: {shipment: {service: ServiceName}}}
clarity.fields.shipment.trackingNumber  clarity: {fields: {shipment: {trackingNumber: TrackingNumber}}}
clarity.fields.shipment.trackingUrl  clarity: {fields: {shipment: {trackingUrl: TrackingUrl}}}
clarity.fields.shipment.shippedDate  clarity: {fields: {shipment: {shippedDate: ShipDate}}}
clarity.fields.shipment.items  clarity: {fields: {shipment: {items: ShippedItems}}}
clarity.fields.shipment_item  clarity: {fields: {shipment_item: {orderItemId: SalesItemID}}}
clarity.fields.shipment_item.orderItemId  clarity: {fields: {shipment_item: {orderItemId: SalesItemID}}}
clarity.fields.shipment_item.quantity  clarity: {fields: {shipment_item: {quantity: Quantity}}}
clarity.fields.product  clarity: {fields: {product: {id: ID}}}
clarity.fields.product.id  clarity: {fields: {product: {id: ID}}}
clarity.fields.product.sku  clarity: {fields: {product: {sku: ProductSku}}}
clarity.fields.product.name  clarity: {fields: {product: {name: ProductName}}}
clarity.fields.product.description  clarity: {fields: {product: {description: LongText}}}
clarity.fields.product.price  clarity: {fields: {product: {price: SalesPrice}}}
clarity.fields.product.listPrice  clarity: {fields: {product: {listPrice: null}}}
clarity.fields.product.active  clarity: {fields: {product: {active: IsActive}}}
clarity.fields.product.weight  clarity: {fields: {product: {weight: WeightLbs}}}
clarity.fields.product.taxCode  clarity: {fields: {product: {taxCode: TaxKey}}}
clarity.fields.product.updatedDate  clarity: {fields: {product: {updatedDate: UpdatedDate}}}
clarity.fields.product.attributes  clarity: {fields: {product: {attributes: Attributes}}}
clarity.fields.inventory_batch  clarity: {fields: {inventory_batch: {items: Levels}}}
clarity.fields.inventory_batch.items  clarity: {fields: {inventory_batch: {items: Levels}}}
clarity.fields.inventory_batch.rejected  clarity: {fields: {inventory_batch: {rejected: Refused}}}
clarity.fields.inventory_level  clarity: {fields: {inventory_level: {sku: ProductSku}}}
clarity.fields.inventory_level.sku  clarity: {fields: {inventory_level: {sku: ProductSku}}}
clarity.fields.inventory_level.warehouse  clarity: {fields: {inventory_level: {warehouse: null}}}
clarity.fields.inventory_level.quantityAvailable  clarity: {fields: {inventory_level: {quantityAvailable: Available}}}
clarity.fields.inventory_rejection  clarity: {fields: {inventory_rejection: {sku: ProductSku}}}
clarity.fields.inventory_rejection.sku  clarity: {fields: {inventory_rejection: {sku: ProductSku}}}
clarity.fields.inventory_rejection.warehouse  clarity: {fields: {inventory_rejection: {warehouse: WarehouseName}}}
clarity.fields.inventory_rejection.message  clarity: {fields: {inventory_rejection: {message: Reason}}}
clarity.statuses  clarity: {statuses: {processing: In Process, shipped: Dispatched}}
clarity.statuses.processing  clarity: {statuses: {processing: In Process}}
clarity.statuses.pending_payment  clarity: {statuses: {pending_payment: Awaiting Payment}}
clarity.statuses.on_hold  clarity: {statuses: {on_hold: Suspended}}
clarity.statuses.shipped  clarity: {statuses: {shipped: Dispatched}}
clarity.statuses.completed  clarity: {statuses: {completed: Closed}}
clarity.statuses.cancelled  clarity: {statuses: {cancelled: Withdrawn}}
clarity.statuses.shipment_void  clarity: {statuses: {shipment_void: Recalled}}
clarity.statuses.also  clarity: {statuses: {also: {processing: [Pending, Open]}}}
clarity.statuses.also.processing  clarity: {statuses: {also: {processing: [Pending, Open]}}}
clarity.statuses.also.pending_payment  clarity: {statuses: {also: {pending_payment: [Authorizing]}}}
clarity.statuses.also.on_hold  clarity: {statuses: {also: {on_hold: [Fraud Check]}}}
clarity.statuses.also.shipped  clarity: {statuses: {also: {shipped: [Sent]}}}
clarity.statuses.also.completed  clarity: {statuses: {also: {completed: [Delivered]}}}
clarity.statuses.also.cancelled  clarity: {statuses: {also: {cancelled: [Void]}}}
clarity.events  clarity: {events: {order_created: Ordering.SalesOrder.Created}}
clarity.events.order_created  clarity: {events: {order_created: Ordering.SalesOrder.Created}}
clarity.events.order_updated  clarity: {events: {order_updated: Ordering.SalesOrder.Updated}}
clarity.events.order_cancelled  clarity: {events: {order_cancelled: Ordering.SalesOrder.Withdrawn}}
clarity.events.product_updated  clarity: {events: {product_updated: Catalog.Product.Updated}}
clarity.events.customer_updated  clarity: {events: {customer_updated: Contacts.Customer.Updated}}
clarity.payment_types  clarity: {payment_types: {capture: Sale, refund: Credit}}
clarity.payment_types.authorize  clarity: {payment_types: {authorize: Authorization}}
clarity.payment_types.capture  clarity: {payment_types: {capture: Sale}}
clarity.payment_types.refund  clarity: {payment_types: {refund: Credit}}
clarity.payment_types.void  clarity: {payment_types: {void: Reversal}}
clarity.payment_types.chargeback  clarity: {payment_types: {chargeback: Dispute}}
clarity.captures  clarity: {captures: {status: Shipped, by: clarity}}
clarity.captures.status  clarity: {captures: {status: Shipped, by: clarity}}
clarity.captures.by  clarity: {captures: {status: Shipped, by: gateway}}
clarity.webhook  clarity: {webhook: {scheme: hmac-sha256-hex, signature_header: X-Store-Signature}}
clarity.webhook.scheme  clarity: {webhook: {scheme: hmac-sha256-hex}}
clarity.webhook.id_header  clarity: {webhook: {id_header: svix-id}}
clarity.webhook.timestamp_header  clarity: {webhook: {scheme: hmac-sha256-hex, timestamp_header: null}}
clarity.webhook.signature_header  clarity: {webhook: {signature_header: X-Store-Signature}}
clarity.webhook.signature_prefix  clarity: {webhook: {scheme: hmac-sha256-hex, signature_prefix: sha256=}}
clarity.webhook_tolerance_seconds  clarity: {webhook_tolerance_seconds: 600}
clarity.inventory_batch  clarity: {inventory_batch: 200}
clarity.maintenance  clarity: {maintenance: [{start: "01:30", end: "03:00"}]}
clarity.maintenance[].days  clarity: {maintenance: [{days: [sat, sun], start: "01:30", end: "03:00"}]}
clarity.maintenance[].start  clarity: {maintenance: [{start: "23:30", end: "00:45"}]}
clarity.maintenance[].end  clarity: {maintenance: [{start: "01:30", end: "03:00"}]}
clarity.steps_per_second  clarity: {steps_per_second: 5}

sage  sage: {auth: api_key, writers: 2}
sage.auth  sage: {auth: api_key}
sage.writers  sage: {writers: 3}
sage.drop_ship  sage: {drop_ship: posting}
sage.posting_reduces_quantity  sage: {posting_reduces_quantity: false}
sage.history_has_udf  sage: {history_has_udf: false}
sage.preview  sage: {preview: false}
sage.maintenance  sage: {maintenance: [{start: "01:30", end: "03:00"}]}
sage.maintenance[].days  sage: {maintenance: [{days: [sun], start: "01:30", end: "03:00"}]}
sage.maintenance[].start  sage: {maintenance: [{start: "23:30", end: "00:45"}]}
sage.maintenance[].end  sage: {maintenance: [{start: "01:30", end: "03:00"}]}
sage.writes_per_second  sage: {writes_per_second: 2}
sage.reads_per_second  sage: {reads_per_second: 10}

order  order: {warehouse: "000", header: {CycleCode: "01"}}
order.order_status  order: {order_status: O}
order.warehouse  order: {warehouse: "000"}
order.comment_item  order: {comment_item: /COMMENT}
order.notes  order: {notes: false}
order.unit_attribute  order: {unit_attribute: unitOfMeasure}
order.units  order: {unit_attribute: unitOfMeasure, units: {cs: CASE, pc: EACH}}
order.prices  order: {prices: {source: sage, tolerance: 1.00}}
order.prices.source  order: {prices: {source: sage}}
order.prices.tolerance  order: {prices: {source: sage, tolerance: 1.00}}
order.expedite  order: {expedite: "delivery.method == 'Next Day Air' or 'rush' in attributes"}
order.cancel  order: {cancel: {in_sage: delete, reason_code: CUST}}
order.cancel.in_sage  order: {cancel: {in_sage: hold}}
order.cancel.reason_code  order: {cancel: {in_sage: delete, reason_code: WEB}}
order.header  order: {header: {CycleCode: "01", FOB: DOCK}}
order.header_rules  order: {header_rules: [{when: "shipping.region == 'TX'", header: {SalespersonNo: "0100"}}]}
order.header_rules[].when  order: {header_rules: [{when: "totals.grand > 5000", header: {CycleCode: "09"}}]}
order.header_rules[].header  order: {header_rules: [{when: "line_count > 50", header: {CycleCode: "08"}}]}
order.header_values  order: {header_values: {UDF_GIFT_MESSAGE: "attributes&['gift_message']"}}
order.line_values  order: {line_values: {UDF_ENGRAVING: "line.attributes&['engraving']"}}
order.warehouses  order: {warehouse: "000", warehouses: [{when: "line.quantity >= 50", warehouse: "001"}]}
order.warehouses[].when  order: {warehouses: [{when: "order.shipping.region in ['CA', 'OR']", warehouse: "002"}]}
order.warehouses[].else_from  order: {warehouses: [{when: "line.quantity > 9", warehouse: "002", else_from: ["000"]}]}
order.else_from  order: {warehouse: "000", else_from: ["001", "002"]}
order.warehouses[].warehouse  order: {warehouses: [{when: "line.sku.starts_with('DESK')", warehouse: "001"}]}
order.ship_via  order: {ship_via: [{carrier: UPS, method: Ground, ship_via: UPS GROUND}]}
order.ship_via[].ship_via  order: {ship_via: [{method: Pickup, ship_via: WILL CALL}]}
order.ship_via[].carrier  order: {ship_via: [{carrier: UPS, ship_via: UPS GROUND}]}
order.ship_via[].method  order: {ship_via: [{carrier: UPS, method: 2nd Day Air, ship_via: UPS BLUE}]}
order.ship_via[].tracking_url  order: {ship_via: [{carrier: UPS, ship_via: UPS GROUND, tracking_url: "https://www.ups.com/track?tracknum={tracking}"}]}

items  items: {LEGACY-1001: DESK-OAK-120}
items.*.item  items: {LEGACY-1001: {item: DESK-OAK-120}}
items.*.unit  items: {PAPER-CASE: {item: PAPER-A4, unit: CASE}}

charges  charges: {line_discount: /WEBDISC, order_discount: /WEBDISC, rounding: /ROUND, fees: {gift_wrap: /GIFT}}
charges.line_discount  charges: {line_discount: /LINEDISC}
charges.line_discount_as  charges: {line_discount_as: net_price}
charges.order_discount  charges: {order_discount: /COUPON}
charges.rounding  charges: {rounding: /PENNY}
charges.discounts  charges: {discounts: {FREESHIP: {item: /WEBFRT, tax_class: NT}}}
charges.discounts.*.item  charges: {discounts: {LOYALTY: {item: /LOYAL}}}
charges.discounts.*.tax_class  charges: {discounts: {FREESHIP: {item: /WEBFRT, tax_class: NT}}}
charges.rounding_limit  charges: {rounding_limit: 0.50}
charges.fees  charges: {fees: {gift_wrap: /GIFT, handling: /HANDLE}}
charges.freight  charges: {freight: {to: charge_line, item: /FREIGHT}}
charges.freight.to  charges: {freight: {to: charge_line, item: /FREIGHT}}
charges.freight.amount  charges: {freight: {amount: actual}}
charges.freight.item  charges: {freight: {to: charge_line, item: /FREIGHT}}
charges.tax_class  charges: {tax_class: TX}
charges.non_taxable_class  charges: {non_taxable_class: NT}

tax  tax: {default: NONTAX, exempt: NONTAX, schedules: [{country: US, region: TX, schedule: TX}]}
tax.policy  tax: {policy: line, item: /WEBTAX, controller_consent: true}
tax.commits  tax: {policy: engine, commits: clarity, default: AVATAX, exempt: NONTAX}
tax.item  tax: {policy: line, item: /WEBTAX, controller_consent: true}
tax.controller_consent  tax: {policy: line, item: /WEBTAX, controller_consent: true}
tax.tolerance  tax: {tolerance: 0.02}
tax.schedules  tax: {schedules: [{country: US, region: TX, schedule: TX}, {country: CA, region: "ON", schedule: "ON"}]}
tax.schedules[].country  tax: {schedules: [{country: GB, schedule: EXPORT}]}
tax.schedules[].region  tax: {schedules: [{country: US, region: TX, schedule: TX}]}
tax.schedules[].when  tax: {schedules: [{when: "totals.tax == 0", schedule: NONTAX}]}
tax.schedules[].schedule  tax: {schedules: [{country: CA, region: BC, schedule: BC}]}
tax.exempt_regions  tax: {exempt: EXEMPT, exempt_regions: [TX, US-WA]}
tax.default  tax: {default: NONTAX}
tax.exempt  tax: {exempt: EXEMPT}

payments  payments: [{gateway: stripe, payment_type: STRIP}, {gateway: giftcard, charge_item: /GIFTCARD}]
payments[].gateway  payments: [{gateway: paypal, payment_type: PAYPL}]
payments[].method  payments: [{gateway: stripe, method: ach, payment_type: SACH}]
payments[].payment_type  payments: [{gateway: amazon, payment_type: AMZN}]
payments[].route  payments: [{gateway: stripe, payment_type: STRIP, route: deposit_liability}]
payments[].charge_item  payments: [{gateway: giftcard, charge_item: /GIFTCARD}]
payments[].reference  payments: [{gateway: wire, payment_type: CHECK, reference: check_no}]
mixed_payment_type  mixed_payment_type: WEBMX

customers  customers: {divisions: ["01", "02"], new_division: "02", terms_code: "00"}
customers.divisions  customers: {divisions: ["01", "02"]}
customers.consumer_divisions  customers: {consumer_divisions: ["02"]}
customers.new_division  customers: {divisions: ["02", "03"], new_division: "03"}
customers.terms_code  customers: {terms_code: "10"}
customers.customer_type  customers: {customer_type: WEB}
customers.house_account  customers: {house_account: 02-WEBGUEST}
customers.ship_to  customers: {ship_to: known}
customers.new_ship_to  customers: {new_ship_to: hold}
customers.tax_schedule  customers: {tax_schedule: WEB}
customers.guest_ids  customers: {guest_ids: ["99999"]}
customers.role_mailboxes  customers: {role_mailboxes: [webshop, einkauf]}
customers.header  customers: {header: {SalespersonNo: "0100"}}
customers.consent  customers: {consent: {clarity_attribute: marketing_consent, sage_column: UDF_MARKETING_OK}}
customers.consent.clarity_attribute  customers: {consent: {clarity_attribute: marketing_consent}}
customers.consent.sage_column  customers: {consent: {sage_column: UDF_MARKETING_OK}}
customers.consent.granted  customers: {consent: {clarity_attribute: newsletter, granted: [subscribed]}}
customers.sync  customers: {sync: {fields: {TelephoneNo: clarity, TermsCode: {owner: sage, attribute: terms}}}}
customers.sync.fields  customers: {sync: {fields: {Address: clarity, PriceLevel: {owner: sage, attribute: level}}}}
customers.sync.fields.*.owner  customers: {sync: {fields: {EmailAddress: {owner: clarity}}}}
customers.sync.fields.*.attribute  customers: {sync: {fields: {CreditHold: {owner: sage, attribute: credit_hold}}}}
customers.sync.accounts  customers: {sync: {fields: {TelephoneNo: clarity}, accounts: all}}
customers.sync.ship_to  customers: {sync: {ship_to: web}}
customers.sync.link  customers: {sync: {link: true}}
customers.sync.in_doubt  customers: {sync: {link: true, in_doubt: review}}

credit  credit: {limit_zero: none}
credit.limit_zero  credit: {limit_zero: unlimited}
stock  stock: {policy: backorder}
stock.policy  stock: {policy: backorder}
stock.not_checked  stock: {not_checked: [KIT-HOME-OFFICE]}

inventory  inventory: {warehouses: {"000": MAIN, "001": EAST}, safety_stock: 2}
inventory.warehouses  inventory: {warehouses: {"000": MAIN, "001": MAIN, "002": EAST}}
inventory.safety_stock  inventory: {safety_stock: 5}
inventory.rules  inventory: {rules: [{when: item.drop_shipped, count: fixed, quantity: 99}]}
inventory.rules[].when  inventory: {rules: [{when: "item.item_code.starts_with('MTO-')", count: none}]}
inventory.rules[].count  inventory: {rules: [{when: "item.product_type == 'K'", count: none}]}
inventory.rules[].quantity  inventory: {rules: [{when: item.drop_shipped, count: fixed, quantity: 99}]}
inventory.rules[].safety_stock  inventory: {rules: [{when: "item.product_line == 'TOYS'", safety_stock: 10}]}
inventory.aliases  inventory: {aliases: true}
inventory.shares_stock_with  inventory: {shares_stock_with: [storetwo]}

products  products: {fields: [{sage: UDF_A, clarity: name, owner: sage}]}
products.fields  products: {fields: [{sage: ItemCodeDesc, clarity: name, owner: clarity}]}
products.fields[].sage  products: {fields: [{sage: SuggestedRetailPrice, clarity: listPrice, owner: sage}]}
products.fields[].clarity  products: {fields: [{sage: Category1, clarity: attributes.colour, owner: clarity}]}
products.fields[].owner  products: {fields: [{sage: StandardUnitPrice, clarity: price, owner: sage}]}
products.fields[].values  products: {fields: [{sage: DropShip, clarity: active, owner: sage, values: {Y: true}}]}
products.fields[].per  products: {fields: [{sage: StandardUnitPrice, clarity: price, owner: sage, per: sales}]}
products.conflicts  products: {conflicts: ask}
products.when  products: {when: "item.product_line == 'WEB'"}
products.skip  products: {skip: [GIFT-CARD]}
products.other_names  products: {other_names: both}
products.new_products  products: {new_products: approve, template: {ProductLine: WEB}}
products.template  products: {new_products: create, template: {ProductLine: WEB, TaxClass: TX}}

checks  checks: [{name: credit, on_fail: credit}, {name: stock, on_fail: out_of_stock}]
checks[].name  checks: [{name: same_basket, on_fail: anomaly}]
checks[].on_fail  checks: [{name: stock, on_fail: out_of_stock}]
checks[].minutes  checks: [{name: same_basket, on_fail: anomaly, minutes: 30}]
checks[].tolerance_percent  checks: [{name: price, on_fail: anomaly, tolerance_percent: 10}]
checks[].accept  checks: [{name: payment, on_fail: anomaly, accept: authorised}]
checks[].keep  checks: [{name: credit, on_fail: credit, keep: in_sage}]
checks[].when  checks: [{name: credit, on_fail: credit, when: "totals.grand > 500"}]

columns  columns: {BillToName: 30, CustomerPONo: 15}

polling  polling: {cold_start_days: 14}
polling.cold_start_days  polling: {cold_start_days: 14}
polling.history_days  polling: {history_days: 3}
polling.business_hours  polling: {business_hours: {days: [mon, tue, wed, thu, fri], start: "07:00", end: "18:30"}}
polling.business_hours.days  polling: {business_hours: {days: [mon, tue, wed, thu, fri, sat]}}
polling.business_hours.start  polling: {business_hours: {start: "07:00"}}
polling.business_hours.end  polling: {business_hours: {end: "18:30"}}
reconciliation  reconciliation: {days: 35, at: "04:00", bank_code: A}
reconciliation.tolerance  reconciliation: {tolerance: 0.01}
reconciliation.days  reconciliation: {days: 62}
reconciliation.at  reconciliation: {at: "23:15"}
reconciliation.bank_code  reconciliation: {bank_code: W}
cash_receipts  cash_receipts: {days: 35, at: "03:00"}
cash_receipts.write  {reconciliation: {bank_code: W}, cash_receipts: {write: true}}
cash_receipts.customer_deposits  cash_receipts: {customer_deposits: "000000215"}
cash_receipts.days  cash_receipts: {days: 62}
cash_receipts.at  cash_receipts: {at: "01:30"}

pace  pace: {poll_interval: 30, hold_reminder: 43200}
pace.poll_interval  pace: {poll_interval: 30}
pace.quiet_interval  pace: {quiet_interval: 120}
pace.rotation  pace: {rotation: 1800}
pace.agree_time  pace: {agree_time: 90}
pace.shift_length  pace: {shift_length: 1200}
pace.poll_heartbeat_timeout  pace: {poll_heartbeat_timeout: 90}
pace.settle_time  pace: {settle_time: 900}
pace.grace_time  pace: {grace_time: 7200}
pace.daily_read  pace: {daily_read: 43200}
pace.settle_days  pace: {settle_days: 45}
pace.not_posted_alert_days  pace: {not_posted_alert_days: 3}
pace.hold_reminder  pace: {hold_reminder: 14400}
pace.stock_sweep  pace: {stock_sweep: 120}
pace.stock_second_look  pace: {stock_second_look: 30}
pace.customer_deadline  pace: {customer_deadline: 300}
pace.call_limit  pace: {call_limit: 60}
pace.alert_group  pace: {alert_group: 120}
pace.watch_interval  pace: {watch_interval: 60}
pace.retry_initial  pace: {retry_initial: 2}
pace.retry_maximum  pace: {retry_maximum: 600}
pace.backfill_interval  pace: {backfill_interval: 600}
pace.backfill_overlap  pace: {backfill_overlap: 3600}
pace.webhook_grace  pace: {webhook_grace: 120}
pace.inventory_sweep  pace: {inventory_sweep: 900}
pace.inventory_look  pace: {inventory_look: 30}
pace.inventory_compare  pace: {inventory_compare: 43200}
pace.products_interval  pace: {products_interval: 1800}
pace.customer_sweep  pace: {customer_sweep: 300}
pace.probe_interval  pace: {probe_interval: 30}
pace.outage_alert  pace: {outage_alert: 900}
pace.outage_reminder  pace: {outage_reminder: 7200}
"""
"""A key's path, two blanks, its example."""

EXAMPLES: Final[dict[str, str]] = {
    path: example for path, _, example in (line.partition("  ") for line in _LINES.splitlines() if line)
}
"""Path of a key, as in `Key.path` → YAML."""
