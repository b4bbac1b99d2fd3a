"""Checks receipts of habeas, and the chain of their heads, with nothing of habeas: README.md beside it is the
specification. Needs Python 3.9 and `cryptography`.

    verify_receipt.py receipt RECEIPT.json --keys KEYS.json [--chain HEADS.json [--published HEAD.json]]
    verify_receipt.py chain HEADS.json --keys KEYS.json [--published HEAD.json]

Exit code 0: genuine. 1: not, and why. 2: wrong usage. It reads these files only, and the network never.
"""

import argparse
import hashlib
import json
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEAD_FORMAT = "habeas-head/1"
SIGNED = b"habeas-head/1\n"
FIRST = "0" * 64
LARGEST = 2**53 - 1  # RFC 8785 counts in IEEE 754 doubles
DEEPEST = 64

DOCUMENT = {"receipt", "proof", "head", "signature"}
PROOF = {"index", "size", "path"}
HEAD = {"format", "number", "previous", "root", "size", "time", "key_id"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Refused(Exception):
    """What was given isn't genuine; the message says what differs, and never a value of a receipt."""


def refuse_unless(condition, problem):
    """Raise Refused with the problem, unless the condition holds."""
    if not condition:
        raise Refused(problem)


# Reading


def read_json(text):
    """Parse strictly: no key twice, no number but integers."""

    def once(pairs):
        made = dict(pairs)
        refuse_unless(len(made) == len(pairs), "a key stands twice in one object")
        return made

    def no_number(_):
        raise Refused("a number is no integer")

    try:
        return json.loads(text, object_pairs_hook=once, parse_float=no_number, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise Refused("it is not JSON in UTF-8") from None


def is_integer(value):
    """Whether it is an integer and not a truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def bytes_of(value, size, name):
    """The bytes of a hex text; one spelling only."""
    fits = isinstance(value, str) and re.fullmatch("[0-9a-f]{%d}" % (2 * size), value)
    refuse_unless(fits, f"{name} is not {2 * size} lower-case hex digits")
    return bytes.fromhex(value)


# Canonical JSON (RFC 8785), of texts, integers, true, false, null, lists and objects


def canonical(value, depth=0):
    """The one text of a value."""
    refuse_unless(depth <= DEEPEST, "it is nested too deeply")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        refuse_unless(abs(value) <= LARGEST, "a number is too large")
        return str(value)
    if isinstance(value, str):
        return canonical_text(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(each, depth + 1) for each in value) + "]"
    refuse_unless(isinstance(value, dict), "a number is no integer")
    # Keys are ordered by their UTF-16 code units.
    names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join(f"{canonical_text(name)}:{canonical(value[name], depth + 1)}" for name in names) + "}"


def canonical_text(text):
    """A text in quotes: JSON's short escapes and \\u00xx for control characters, all else as it is."""
    return json.dumps(text, ensure_ascii=False)


def canonical_bytes(value):
    """The bytes that are hashed and signed."""
    try:
        return canonical(value).encode("utf-8")
    except UnicodeEncodeError:
        raise Refused("a text holds half a character") from None


# Merkle tree (RFC 6962 section 2.1; the proof as in RFC 9162 section 2.1.3.2)


def leaf_hash(body):
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left, right):
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf, index, size, path):
    """The root that a proof leads to, None where it doesn't fit the tree's size."""
    node, last = leaf, size - 1
    for sibling in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            node = node_hash(sibling, node)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return node if last == 0 else None


# Keys and heads


def read_keys(document):
    """Public keys by key id, from what `/.well-known/habeas-receipt-keys.json` shows."""
    refuse_unless(isinstance(document, dict) and isinstance(document.get("keys"), list), "the keys file has no keys")
    keys = {}
    for entry in document["keys"]:
        refuse_unless(isinstance(entry, dict) and entry.get("algorithm") == "Ed25519", "a key is not of Ed25519")
        key = bytes_of(entry.get("public_key"), 32, "a public key")
        key_id = hashlib.sha256(key).hexdigest()[:16]
        refuse_unless(entry.get("key_id") == key_id, "a key has another key's id")
        keys[key_id] = key
    return keys


def check_head(head, signature, keys):
    """Check the form of a head, and that one of these keys signed it. Gives that key."""
    refuse_unless(isinstance(head, dict) and set(head) == HEAD, "the head has not exactly its parts")
    refuse_unless(head["format"] == HEAD_FORMAT, f"the head is not of the format {HEAD_FORMAT}")
    for name in ("number", "size"):
        refuse_unless(is_integer(head[name]) and head[name] >= 1, f"the head's {name} is no positive integer")
    for name in ("previous", "root"):
        bytes_of(head[name], 32, f"the head's {name}")
    refuse_unless(isinstance(head["time"], str) and TIME.fullmatch(head["time"]), "the head's time is no UTC time")
    key = keys.get(head["key_id"]) if isinstance(head["key_id"], str) else None
    refuse_unless(key is not None, "the head is signed with a key that isn't among the given ones")
    try:
        signed = SIGNED + canonical_bytes(head)
        Ed25519PublicKey.from_public_bytes(key).verify(bytes_of(signature, 64, "the signature"), signed)
    except InvalidSignature:
        raise Refused("the signature does not fit the head") from None
    return key


def digest_of(head):
    """What the next head names as its `previous`."""
    return hashlib.sha256(canonical_bytes(head)).hexdigest()


# What a user asks


def verify_receipt(document, keys):
    """Check a receipt document; gives its head. Raises Refused."""
    parts = set(document) - {"public_key"} if isinstance(document, dict) else None
    refuse_unless(parts == DOCUMENT, "it has not exactly the parts of a receipt")
    head, proof = document["head"], document["proof"]
    key = check_head(head, document["signature"], keys)
    if "public_key" in document:
        refuse_unless(
            bytes_of(document["public_key"], 32, "public_key") == key, "public_key is not the one that signed"
        )
    refuse_unless(isinstance(document["receipt"], dict), "the receipt is no object")
    refuse_unless(isinstance(proof, dict) and set(proof) == PROOF, "the proof has not exactly its parts")
    index, size, path = proof["index"], proof["size"], proof["path"]
    refuse_unless(is_integer(index) and is_integer(size) and 0 <= index < size, "the proof's index is not in the tree")
    refuse_unless(size == head["size"], "the proof is of a tree of another size")
    refuse_unless(isinstance(path, list), "the proof's path is no list")
    siblings = [bytes_of(each, 32, "a hash of the proof") for each in path]
    root = root_of(leaf_hash(canonical_bytes(document["receipt"])), index, size, siblings)
    refuse_unless(root is not None and root.hex() == head["root"], "the receipt is not the one that was signed")
    return head


def verify_chain(document, keys):
    """Check a list of signed heads from the first on; gives the last head. Raises Refused."""
    named = isinstance(document, dict) and set(document) == {"heads"} and isinstance(document["heads"], list)
    refuse_unless(named and document["heads"], "it has not exactly a list of heads")
    previous, number = FIRST, 0
    for entry in document["heads"]:
        number += 1
        signed = isinstance(entry, dict) and set(entry) == {"head", "signature"}
        refuse_unless(signed, f"entry {number} has not exactly head and signature")
        try:
            check_head(entry["head"], entry["signature"], keys)
        except Refused as problem:
            raise Refused(f"entry {number}: {problem}") from None
        follows = entry["head"]["number"] == number and entry["head"]["previous"] == previous
        refuse_unless(follows, f"entry {number} does not follow the one before it")
        previous = digest_of(entry["head"])
    return document["heads"][-1]["head"]


def check_among(head, heads):
    """Check that a head is one of the chain's, all of which were checked. Raises Refused."""
    number = head["number"]
    refuse_unless(number <= len(heads), f"the chain ends before head {number}: its end was dropped")
    refuse_unless(digest_of(heads[number - 1]["head"]) == digest_of(head), f"head {number} of the chain is another one")


def check_published(published, keys, heads):
    """Check that a head which was published elsewhere is one of the chain's. Raises Refused."""
    refuse_unless(isinstance(published, dict) and set(published) == {"head", "signature"}, "the published head is none")
    check_head(published["head"], published["signature"], keys)
    check_among(published["head"], heads)


def main(arguments=None):
    """Run the command line; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("receipt", "chain"))
    parser.add_argument("file")
    parser.add_argument("--keys", required=True, help="what the installation serves as habeas-receipt-keys.json")
    parser.add_argument("--chain", help="with a receipt: all heads, of which its own must be one")
    parser.add_argument("--published", help="a head that was published elsewhere, which must be in the chain")
    given = parser.parse_args(arguments)
    chain_file = given.file if given.what == "chain" else given.chain
    if given.published and not chain_file:
        parser.error("--published needs the chain")
    try:
        keys = read_keys(read_json(read_file(given.keys)))
        chain = read_json(read_file(chain_file)) if chain_file else None
        last = verify_chain(chain, keys) if chain_file else None
        head = last if given.what == "chain" else verify_receipt(read_json(read_file(given.file)), keys)
        if chain_file:
            check_among(head, chain["heads"])
        if given.published:
            check_published(read_json(read_file(given.published)), keys, chain["heads"])
    except OSError as problem:
        parser.error(f"{problem.filename}: {problem.strerror}")
    except Refused as problem:
        print(f"NOT GENUINE: {problem}")
        return 1
    print(f"Genuine: head {head['number']} of {head['time']}, signed with key {head['key_id']}")
    return 0


def read_file(name):
    """The bytes of a file as text; what isn't UTF-8 is refused."""
    with open(name, "rb") as file:
        try:
            return file.read().decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("it is not JSON in UTF-8") from None


if __name__ == "__main__":
    sys.exit(main())
