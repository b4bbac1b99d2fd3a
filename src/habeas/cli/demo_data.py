"""The invented company of the demo: a shop and a support desk, two SQLite databases linked across.

Ada Lindqvist is the person whose request is answered. Around her: another Ada whose e-mail differs by one
letter, a neighbour in the same household, a phone number written in three ways, tickets found only by e-mail,
messages that reply to messages. All addresses and numbers are reserved examples.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

EMAIL = "ada.lindqvist@example.com"
PHONE = "202-555-0143"
NAME = "Ada Lindqvist"

HERS: dict[str, frozenset[int]] = {
    "shop.customers": frozenset({7}),
    "shop.addresses": frozenset({71}),
    "shop.orders": frozenset({701, 702}),
    "support.tickets": frozenset({31, 32}),
    "support.messages": frozenset({301, 302, 303, 304}),
    "support.callers": frozenset({5}),
}
"""The rows that are hers and hold something to erase, by table; the truth that the demo compares with."""

SHARED = ("shop.addresses", 70)
"""The household's address: another customer lives there, so it must stay."""

_SHOP = """
CREATE TABLE addresses (
  id INTEGER PRIMARY KEY, street TEXT NOT NULL, city TEXT NOT NULL, postal_code TEXT);
CREATE TABLE customers (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, phone TEXT, birthday TEXT,
  address_id INTEGER REFERENCES addresses(id));
CREATE TABLE products (id INTEGER PRIMARY KEY, title TEXT NOT NULL, price_cents INTEGER NOT NULL);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id),
  shipping_address_id INTEGER REFERENCES addresses(id), placed_on TEXT NOT NULL, note TEXT);
CREATE TABLE order_items (
  order_id INTEGER NOT NULL REFERENCES orders(id), product_id INTEGER NOT NULL REFERENCES products(id),
  quantity INTEGER NOT NULL, PRIMARY KEY (order_id, product_id));
CREATE INDEX orders_by_customer ON orders(customer_id);
CREATE INDEX customers_by_email ON customers (lower(trim(email)));
"""

_SUPPORT = """
CREATE TABLE tickets (
  id INTEGER PRIMARY KEY, customer_id INTEGER, requester_email TEXT, subject TEXT NOT NULL);
CREATE TABLE messages (
  id INTEGER PRIMARY KEY, ticket_id INTEGER REFERENCES tickets(id), reply_to INTEGER REFERENCES messages(id),
  body TEXT NOT NULL);
CREATE INDEX tickets_by_customer ON tickets(customer_id);
CREATE INDEX tickets_by_email ON tickets (lower(trim(requester_email)));
CREATE INDEX messages_by_ticket ON messages(ticket_id);
CREATE INDEX messages_by_reply ON messages(reply_to);
CREATE TABLE callers (id INTEGER PRIMARY KEY, phone TEXT NOT NULL, note TEXT);
"""

_ADDRESSES = [
    (70, "12 Harbour Lane", "Springfield", "01101"),
    (71, "Office 4, 9 Mill Road", "Springfield", "01103"),
    (80, "3 Chapel Street", "Shelbyville", "37160"),
]
_CUSTOMERS = [
    (7, NAME, EMAIL, "+1 202-555-0143", "1988-04-12", 70),
    (8, "Bo Lindqvist", "bo@example.com", "+1 202-555-0171", "1986-09-30", 70),  # the same household
    (9, NAME, "ada.lindquist@example.com", "+1 202-555-0144", "1988-04-12", 80),  # one letter, one digit away
]
_PRODUCTS = [(1, "Kettle", 3900), (2, "Desk lamp", 5200), (3, "Notebook", 450)]
_ORDERS = [
    (701, 7, 70, "2026-02-03", "Ring at Lindqvist, second floor"),
    (702, 7, 71, "2026-05-19", "Deliver to my office please"),
    (801, 8, 70, "2026-06-11", "Leave it with the neighbour"),
    (901, 9, 80, "2026-06-12", "Ring at Lindqvist, ground floor"),
]
_ITEMS = [(701, 1, 1), (701, 3, 4), (702, 2, 1), (801, 3, 2), (901, 1, 1)]
_TICKETS = [
    (31, 7, None, "My kettle leaks"),
    (32, None, "Ada.Lindqvist@Example.com", "Change of phone number"),  # found by e-mail only
    (33, 9, "ada.lindquist@example.com", "My kettle leaks, too"),
    (34, 8, None, "Invoice"),
]
_MESSAGES = [
    (301, 31, None, "It leaks since Monday."),
    (302, 31, 301, "Ada, could you send a photo?"),
    (303, None, 302, "Here it is, taken in my kitchen."),  # a reply outside the ticket: found by the reply alone
    (304, 32, None, "Please note 202-555-0143."),
    (331, 33, None, "It leaks since Tuesday."),
    (332, 33, 331, "Ada, could you send a photo?"),
    (341, 34, None, "I need an invoice."),
]
_CALLERS = [
    (5, "(202) 555-0143", "Asked about the kettle"),
    (6, "(202) 555-0144", "Asked about the kettle"),
    (7, "+1 202 555 0171", "Asked about an invoice"),
]

COMPANY = """\
# Where the demo company's personal data lives, and how its requests are answered.
connections:
  - key: shop
    name: Shop
    connection_type: sqlite
    access: write
    secrets: {{url: "sqlite:///{shop}"}}
  - key: support
    name: Support desk
    connection_type: sqlite
    access: write
    secrets: {{url: "sqlite:///{support}"}}

storage:
  - {{key: demo_packages, name: Demo packages, type: local, format: json, details: {{naming: request_id}}}}

policies:
  - key: demo_access
    name: Demo, access
    rules:
      - key: demo_hand_over
        name: Hand over everything
        action_type: access
        storage_destination_key: demo_packages
        targets: [user]
  - key: demo_erasure
    name: Demo, erasure
    rules:
      - key: demo_forget
        name: Forget
        action_type: erasure
        masking_strategy: {{strategy: null_rewrite, configuration: {{}}}}
        targets: [user]

dataset:
  - fides_key: shop
    name: Shop
    collections:
      - name: customers
        fields:
          - {{name: id, fides_meta: {{primary_key: true}}}}
          - {{name: name, data_categories: [user.name]}}
          - {{name: email, data_categories: [user.contact.email], fides_meta: {{identity: email}}}}
          - {{name: phone, data_categories: [user.contact.phone_number], fides_meta: {{identity: phone_number}}}}
          - {{name: birthday, data_categories: [user.demographic.date_of_birth]}}
          - name: address_id
            fides_meta: {{references: [{{dataset: shop, field: addresses.id, direction: to}}]}}
      - name: addresses
        fields:
          - {{name: id, fides_meta: {{primary_key: true}}}}
          - {{name: street, data_categories: [user.contact.address.street]}}
          - {{name: city, data_categories: [user.contact.address.city]}}
          - {{name: postal_code, data_categories: [user.contact.address.postal_code]}}
      - name: orders
        fields:
          - {{name: id, fides_meta: {{primary_key: true}}}}
          - name: customer_id
            fides_meta: {{references: [{{dataset: shop, field: customers.id, direction: from}}]}}
          - name: shipping_address_id
            fides_meta: {{references: [{{dataset: shop, field: addresses.id, direction: to}}]}}
          - {{name: placed_on}}
          - {{name: note, data_categories: [user.content]}}
  - fides_key: support
    name: Support desk
    collections:
      - name: tickets
        fides_meta: {{person: false}}
        fields:
          - {{name: id, fides_meta: {{primary_key: true}}}}
          - name: customer_id
            fides_meta: {{references: [{{dataset: shop, field: customers.id, direction: from}}]}}
          - {{name: requester_email, data_categories: [user.contact.email], fides_meta: {{identity: email}}}}
          - {{name: subject, data_categories: [user.content]}}
      - name: messages
        fields:
          - {{name: id, fides_meta: {{primary_key: true}}}}
          - name: ticket_id
            fides_meta: {{references: [{{dataset: support, field: tickets.id, direction: from}}]}}
          - name: reply_to
            fides_meta: {{references: [{{dataset: support, field: messages.id, direction: from}}]}}
          - {{name: body, data_categories: [user.content.private]}}
      - name: callers
        fides_meta: {{person: false}}
        fields:
          - {{name: id, fides_meta: {{primary_key: true}}}}
          - {{name: phone, data_categories: [user.contact.phone_number], fides_meta: {{identity: phone_number}}}}
          - {{name: note, data_categories: [user.content.private]}}
"""

Dump = dict[str, dict[tuple[object, ...], tuple[object, ...]]]


def write_company(folder: Path) -> Path:
    """Make both databases and the declaration in an existing folder; gives the declaration's file."""
    shop, support = folder / "shop.db", folder / "support.db"
    _make(shop, _SHOP, {"addresses": _ADDRESSES, "customers": _CUSTOMERS, "products": _PRODUCTS})
    _make(shop, "", {"orders": _ORDERS, "order_items": _ITEMS})
    _make(support, _SUPPORT, {"tickets": _TICKETS, "messages": _MESSAGES, "callers": _CALLERS})
    file = folder / "company.yml"
    file.write_text(COMPANY.format(shop=shop.as_posix(), support=support.as_posix()), encoding="utf-8")
    return file


def dump(folder: Path) -> Dump:
    """Every row of both databases: table → primary key → the whole row."""
    found: Dump = {}
    for name in ("shop", "support"):
        connection = sqlite3.connect(folder / f"{name}.db")
        try:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
                keys = [column[0] for column in columns if column[5]]
                rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
                found[f"{name}.{table}"] = {tuple(row[key] for key in keys): row for row in rows}
        finally:
            connection.close()
    return found


def _make(file: Path, schema: str, tables: Mapping[str, Sequence[Sequence[object]]]) -> None:
    connection = sqlite3.connect(file)
    try:
        connection.executescript(schema)
        for table, rows in tables.items():
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        connection.commit()
    finally:
        connection.close()
