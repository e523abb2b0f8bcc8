"""Persons in an OSG Topology tree: met in many files, under an id or a name alone, each taken in once."""

from __future__ import annotations

from collections.abc import Iterator

from opengoc.base.errors import InvalidInput
from opengoc.registry.findings import Findings
from opengoc.registry.formats.fields import Fields
from opengoc.registry.model import Contact, ContactRole
from opengoc.registry.tree import Entry

#: What a person goes by whom the tree gives a name and no id begins with this.
NAMED = "name:"


class People:
    """Contacts met anywhere in the tree: one a id, whichever file names it."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._entries: dict[str, Entry] = {}

    def meet(self, contact: Contact, where: str) -> None:
        """Take a contact in; a second, different name or address for one id is doubted."""
        standing = self._entries.setdefault(contact.id, Entry(kind="contact", value=contact, where=where))
        known = standing.value
        if not isinstance(known, Contact) or known == contact:
            return
        for one, other in ((known.name, contact.name), (known.email, contact.email)):
            if one is not None and other is not None and one != other:
                rule = f"is not named as at {standing.where}; that one is taken"
                self._findings.doubt(where, contact.id, rule, kind="contact")
        merged = Contact(
            id=contact.id,
            name=known.name or contact.name,
            email=known.email or contact.email,
            subjects=known.subjects or contact.subjects,
        )
        self._entries[contact.id] = Entry(kind="contact", value=merged, where=standing.where)

    def entries(self) -> Iterator[Entry]:
        """All contacts met."""
        yield from self._entries.values()


def named_person(name: str, where: str, people: People) -> str:
    """What a person goes by whom the tree gives a name and no id."""
    contact_id = f"{NAMED}{name}"
    people.meet(Contact(id=contact_id, name=name), where)
    return contact_id


def read_person(fields: Fields, contact_id: str, people: People) -> None:
    """One entry of contacts.yaml."""
    name, email = fields.text("Name"), fields.text("Email")
    fields.refuse_unknown()
    meet(fields, contact_id, name, email, people)


def ranked_contacts(fields: Fields, people: People) -> tuple[ContactRole, ...]:
    """``ContactLists`` of a resource: role → rank → person."""
    found = (
        contact(person, role, rank, people)
        for role, ranks in fields.table("ContactLists").named_tables()
        for rank, person in ranks.named_tables()
    )
    return tuple(each for each in found if each is not None)


def contacts_by_role(fields: Fields, people: People) -> tuple[ContactRole, ...]:
    """``Contacts`` of a VO or support centre: role → list of persons."""
    roles = fields.table("Contacts")
    found = (contact(person, role, "", people) for role in roles.names() for person in roles.tables(role))
    return tuple(each for each in found if each is not None)


def contact(fields: Fields, role: str, rank: str, people: People) -> ContactRole | None:
    """One person with the role; None after a fault was noted."""
    contact_id = fields.required_text("ID")
    name = fields.text("Name")
    fields.refuse_unknown()
    if contact_id is None or not meet(fields, contact_id, name, None, people):
        return None
    return ContactRole(role=role, rank=rank, contact=contact_id)


def meet(
    fields: Fields,
    contact_id: str,
    name: str | None,
    email: str | None,
    people: People,
    *,
    subjects: tuple[str, ...] = (),
) -> bool:
    """Take a person in; False after a fault was noted."""
    try:
        people.meet(Contact(id=contact_id, name=name, email=email, subjects=subjects), fields.where())
    except InvalidInput as error:
        fields.fault(None, error.value, f"{error.where.rpartition(': ')[2]} {error.rule}")
        return False
    return True
