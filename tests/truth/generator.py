"""seed → company: pure. Blocks (people, what they own, what several own) are put together at random; each shape
that was used is named in `shapes`, so that what a run covered can be counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from truth.blocks import Blocks
from truth.builder import ODD, PLAIN
from truth.company import Column, Company, Ref, Row, Rule, Store, Table
from truth.people import Person, invent, phone_variant

KINDS = ("sqlite", "sqlite", "sqlite", "postgres", "postgres", "mariadb")


def generate(seed: int, kinds: tuple[str, ...] = KINDS) -> Company:
    """The company of a seed. `kinds` are the kinds of stores it may have."""
    return _Generator(seed, kinds).build()


class _Generator(Blocks):
    def build(self) -> Company:
        rng = self.rng
        count = rng.choice((1, 1, 2, 2, 3))
        self.stores = [Store(f"s{index}", rng.choice(self.kinds)) for index in range(count)]
        served = [each for each in self.stores if each.kind != "sqlite"]
        if served and self.chance(0.15, "several schemas"):
            first = rng.choice(served)
            self.stores.append(Store(f"s{count}", first.kind, first.name))
        if count > 1:
            self.shapes.add("several stores")
        if len({each.kind for each in self.stores}) > 1:
            self.shapes.add("mixed kinds")
        for each in self.stores:
            self.shapes.add(f"store {each.kind}")
        names = [*PLAIN] + ([*ODD] * 2 if self.chance(0.5, "odd names") else [])
        rng.shuffle(names)
        self.names = list(dict.fromkeys(names))
        crowd = self.chance(0.03, "many subjects in one cohort")
        self.people = invent(rng, rng.randint(25, 50) if crowd else rng.randint(4, 8))
        self.add_people("customer")
        if self.chance(0.35, "second people table"):
            self.add_people("employee")
        wanted = rng.randint(3, 10)
        blocks = self.blocks()
        while len(self.tables) < wanted:
            rng.choice(blocks)()
        self.finish()
        return self.company()

    def blocks(self) -> list[Callable[[], None]]:
        """What a company is made of; more often named, more often there."""
        return [
            self.add_child,
            self.add_child,
            self.add_child,
            self.add_two_owners,
            self.add_reply,
            self.add_pointed,
            self.add_pointed,
            self.add_diamond,
            self.add_self,
            self.add_guest,
            self.add_unasked,
            self.add_cycle,
            self.add_rep,
            self.add_text_join,
            self.add_empty,
            self.add_orphan_fk,
            self.add_family,
            self.add_family,
            self.add_view,
            self.add_document,
            self.add_document,
        ]

    # ---- blocks

    def add_people(self, name: str) -> None:
        rng = self.rng
        table = self.new_table(name, keys=("int", "int", "bigint", "uuid", "text"))
        email = Column("email", "varchar", identity="email", length=80, category="user.contact.email")
        email.exact = self.chance(0.15, "exact match")
        table.columns.append(email)
        phone = self.chance(0.4, "phone identity")
        if phone:
            table.columns.append(
                Column("phone", "varchar", identity="phone_number", length=40, category="user.contact.phone_number")
            )
        loyalty = self.chance(0.15, "own identity kind")
        if loyalty:
            table.columns.append(Column("loyalty", "int", identity="loyalty_id", category="user.unique_id"))
        table.columns.append(Column("full name", "varchar", length=60, category="user.name", nullable=self.chance(0.6)))
        self.add_content(table, 0, 3)
        owners: list[Person | None] = [each for each in self.people if rng.random() < 0.9] or self.people[:1]
        owners += [rng.choice(self.people) for _ in range(rng.randint(0, 2))] + [None] * rng.randint(0, 3)
        rng.shuffle(owners)
        for owner in owners:
            near = owner or rng.choice(self.people)
            given: Row = {"email": self.email_of(near, decoy=owner is None)}
            if phone:
                given["phone"] = self.phone_of(near, decoy=owner is None)
            if loyalty:
                given["loyalty"] = near.loyalty if owner else near.loyalty + 5000
            self.new_row(table, **given)
        self.who[table.id] = owners

    def add_child(self) -> None:
        parent = self.some_table()
        self.shapes.add("child of people" if parent.people else "chain")
        table = self.new_table(store=parent.store if self.rng.random() < 0.75 else None)
        nullable = self.rng.random() < 0.6
        ref = self.refer(
            table, parent, "of", nullable=nullable, ownership="owned" if self.chance(0.08, "declared owned") else "auto"
        )
        self.add_content(table)
        self.fill(table, ref, most=12)
        self.maybe_delete(table)

    def add_two_owners(self) -> None:
        people = self.some_table(people=True)
        table = self.new_table("transfer", store=people.store if self.rng.random() < 0.8 else None)
        self.shapes.add("two owners")
        one = self.refer(
            table, people, "sender", ownership=self.rng.choice(("auto", "auto", "auto", "owned", "shared"))
        )
        two = self.refer(
            table, people, "taker", ownership=self.rng.choice(("auto", "auto", "auto", "owned", "context"))
        )
        self.note(one, two)
        self.add_content(table)
        self.fill(table, one, two, least=4, most=12)
        self.maybe_delete(table)

    def note(self, *refs: Ref) -> None:
        for ref in refs:
            if ref.ownership != "auto":
                self.shapes.add(f"declared {ref.ownership}")

    def add_reply(self) -> None:
        parent, people = self.some_table(people=False), self.some_table(people=True)
        self.shapes.add("third person")
        table = self.new_table("reply", store=parent.store if self.rng.random() < 0.8 else None)
        ref = self.refer(table, parent, "about")
        author = self.refer(table, people, "author", declared=True)
        self.add_content(table)
        self.fill(table, ref, author, least=4, most=12)
        self.maybe_delete(table)

    def add_pointed(self) -> None:
        """An address, a household: what rows of others may point to as well."""
        holder = self.some_table()
        self.shapes.add("pointed to")
        table = self.new_table("address", store=holder.store if self.rng.random() < 0.8 else None)
        self.add_content(table)
        contact = self.chance(0.4, "an identity in a field that isn't said to hold one")
        if contact:
            category = self.rng.choice(("user.contact.email", "user.content"))
            table.columns.append(Column("contact", "varchar", length=80, category=category))
        for _ in range(self.rng.randint(1, 6)):
            person = self.rng.choice(self.people)
            choice = (self.email_of(person, decoy=False), self.phone_of(person, decoy=False), f"c{len(table.rows)}q")
            self.new_row(table, **({"contact": self.rng.choice(choice)} if contact else {}))
        ref = self.refer(
            holder,
            table,
            f"at{len(self.refs)}",
            flow="up",
            ownership=self.rng.choice(("auto", "auto", "auto", "owned", "shared", "shared", "context")),
        )
        self.note(ref)
        self.point_rows(holder, ref)
        if self.chance(0.25, "pointed to by two tables"):
            other = self.some_table()
            second = self.refer(other, table, f"at{len(self.refs)}", flow="up")
            self.point_rows(other, second)
        self.maybe_delete(table)

    def point_rows(self, holder: Table, ref: Ref) -> None:
        """Give rows that exist already something to point to; often each its own."""
        targets = list(self.find(ref.target).rows)
        own = self.rng.random() < 0.5
        for row in holder.rows:
            target = (targets.pop() if targets else None) if own else self.rng.choice([*targets, None])
            row.update(self.pointing(ref, target))

    def add_diamond(self) -> None:
        one, two = self.some_table(people=False), self.some_table()
        if one.id == two.id:
            return
        self.shapes.add("diamond")
        table = self.new_table("line", store=one.store)
        first, second = self.refer(table, one, "left"), self.refer(table, two, "right")
        self.add_content(table)
        self.fill(table, first, second, least=4, most=12)

    def add_self(self) -> None:
        parent = self.some_table()
        table = self.new_table("comment", store=parent.store, keys=("int", "uuid"))
        self.shapes.add("self reference")
        ref = self.refer(table, parent, "by")
        thread = self.refer(table, table, "parent", fk=None)
        thread.flow = self.rng.choice(("down", "up"))
        self.add_content(table)
        for _ in range(self.rng.randint(3, 10)):
            given = self.pick(ref, 0.3)
            given.update(self.pick(thread, 0.4))
            self.new_row(table, **given)
        if self.rng.random() < 0.2 and table.rows:
            table.rows[0].update(self.pointing(thread, self.rng.choice(table.rows)))
            self.shapes.add("cycle of rows")
        self.maybe_delete(table)

    def add_guest(self) -> None:
        """Rows with an e-mail of their own and no owner, or another's."""
        people = self.some_table(people=True)
        table = self.new_table("guest_order", store=people.store if self.rng.random() < 0.6 else None)
        self.shapes.add("guest rows")
        table.person = False if self.chance(0.85, "person: false") else None
        table.columns.append(Column("mail", "varchar", identity="email", length=80, category="user.contact.email"))
        ref = self.refer(
            table, people, "customer", ownership=self.rng.choice(("auto", "auto", "auto", "shared", "owned"))
        )
        self.note(ref)
        self.add_content(table)
        for _ in range(self.rng.randint(3, 9)):
            person = self.rng.choice(self.people)
            given = self.pick(ref, 0.5)
            given["mail"] = None if self.rng.random() < 0.2 else self.email_of(person, decoy=self.rng.random() < 0.15)
            self.new_row(table, **given)
        self.maybe_delete(table)

    def add_unasked(self) -> None:
        """A table in no dataset; its rows may hold others back by a foreign key."""
        target = self.some_table()
        table = self.new_table("backup", store=target.store, keys=("int",))
        table.described = False
        self.shapes.add("table in no dataset")
        ref = self.refer(table, target, "of", declared=False)
        self.add_content(table)
        self.fill(table, ref, most=5)

    def add_cycle(self) -> None:
        """Two tables that point to each other, perhaps over two stores."""
        parent = self.some_table()
        table = self.new_table("project", keys=("int", "uuid"), store=parent.store if self.rng.random() < 0.6 else None)
        self.shapes.add("cycle" if table.store == parent.store else "cross-store cycle")
        ref = self.refer(table, parent, "lead")
        self.add_content(table)
        self.fill(table, ref, least=3)
        back = self.refer(parent, table, f"main{len(self.refs)}", flow=self.rng.choice(("down", "up")))
        back.fk = None
        self.point_rows(parent, back)

    def add_rep(self) -> None:
        """A sales rep: another person whom the subject's row points to."""
        people, holder = self.some_table(people=True), self.some_table()
        if any(ref.holder == holder.id and ref.target == people.id for ref in self.refs) and self.rng.random() < 0.5:
            return
        ref = self.refer(
            holder,
            people,
            f"rep{len(self.refs)}",
            flow=self.rng.choice(("up", "up", "down")),
            ownership=self.rng.choice(("context", "context", "auto", "owned")),
        )
        self.shapes.add("sales rep")
        self.note(ref)
        rows = self.find(people.id).rows
        for row in holder.rows:
            row.update(self.pointing(ref, self.rng.choice([*rows, None])))

    def add_text_join(self) -> None:
        """Joined by the text of an e-mail, a key on neither side."""
        people = self.some_table(people=True)
        table = self.new_table("newsletter", store=people.store if self.rng.random() < 0.6 else None)
        self.shapes.add("joined by text")
        table.columns.append(Column("subscriber", "varchar", length=80, category=None))
        email = next(each.name for each in people.columns if each.identity == "email")
        ref = Ref(
            table.id, ["subscriber"], people.id, [email], ownership="owned" if self.rng.random() < 0.8 else "auto"
        )
        self.refs.append(ref)
        self.note(ref)
        self.add_content(table)
        self.fill(table, ref, least=3)

    def add_empty(self) -> None:
        parent = self.some_table()
        table = self.new_table("archive", store=parent.store)
        self.shapes.add("empty table")
        self.refer(table, parent, "of")
        self.add_content(table)

    def add_orphan_fk(self) -> None:
        """A described collection whose foreign key the dataset doesn't mention."""
        target, other = self.some_table(), self.some_table()
        if target.store != other.store or target.key_kind == "none" or target.id == other.id:
            return
        self.shapes.add("undeclared foreign key")
        ref = self.refer(other, target, f"fk{len(self.refs)}", declared=False, fk="NO ACTION")
        self.point_rows(other, ref)

    # ---- what is asked

    def finish(self) -> None:
        for table in self.tables[1:]:
            if table.described and not table.people and self.chance(0.025, "excluded"):
                table.excluded = True
            self.maybe_partition(table)
        if self.seed % 400 == 77:
            self.add_many_rows()
        self.rng.shuffle(self.tables)

    def company(self) -> Company:
        rng = self.rng
        access = (
            ["user", "system"]
            if rng.random() < 0.5
            else rng.choice((["user"], ["user.contact"], ["user.content", "user.name"]))
        )
        categories = [
            "user.name",
            "user.contact",
            "user.content",
            "user.demographic",
            "user.behavior",
            "user.financial",
            "user.location",
        ]
        first = rng.sample(categories, rng.randint(2, 7))
        rules = [Rule(first, *self.strategy())]
        if self.chance(0.3, "two erasure rules"):
            rules.append(Rule([each for each in categories if each not in first] or ["user.device"], *self.strategy()))
        wanted = rng.choice((1, 1, 2, 3, 5)) if len(self.people) < 20 else rng.randint(10, len(self.people))
        subjects = rng.sample(self.people, min(len(self.people), wanted))
        if len(subjects) > 1:
            self.shapes.add("cohort of several")
        kinds = ["email"]
        if self.chance(0.35, "several identities"):
            kinds.append("phone_number")
        if self.chance(0.2, "own kind given"):
            kinds.append("loyalty_id")
        cut = len(subjects) if rng.random() < 0.7 else max(1, len(subjects) - 1)
        phases = [[self.identities(each, kinds) for each in part] for part in (subjects[:cut], subjects[cut:]) if part]
        if len(phases) > 1:
            self.shapes.add("one cohort after another")
        combined, again = self.chance(0.2, "access and erasure in one policy"), self.chance(0.3, "asked again")
        journal = self.chance(0.5, "writes noted by triggers")
        many = "20,000 rows of one person" in self.shapes
        return Company(
            seed=self.seed,
            stores=self.stores,
            tables=self.tables,
            refs=self.refs,
            access=access,
            rules=rules,
            phases=phases,
            combined=combined,
            again=again,
            journal=journal,
            taken_over=journal and self.chance(0.06, "taken over by another executor"),
            batches=rng.randint(1, 4) if not many and self.chance(0.3, "batches of a few rows") else None,
            shapes=sorted(self.shapes),
        )

    def strategy(self) -> tuple[str, dict[str, Any]]:
        name = self.rng.choice(
            ("null_rewrite", "null_rewrite", "string_rewrite", "hash", "hmac", "random_string_rewrite", "aes_encrypt")
        )
        self.shapes.add(f"strategy {name}")
        if name == "string_rewrite":
            return name, {"rewrite_value": "MASKED"}
        return name, {}

    def identities(self, person: Person, kinds: list[str]) -> dict[str, Any]:
        made: dict[str, Any] = {"email": person.email}
        if self.rng.random() < 0.4:
            made["email"] = person.email.upper() if "ß" not in person.email else f" {person.email} "
        if "phone_number" in kinds:
            made["phone_number"] = phone_variant(self.rng, person.phone)
        if "loyalty_id" in kinds:
            made["loyalty_id"] = person.loyalty
        return made
