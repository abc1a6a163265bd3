"""API keys: kept as hashes, shown once, revoked for good, journalled."""

from __future__ import annotations

import pytest

from store.errors import NotFoundError, SettingsError, UsageError
from store.journal import read_events
from store.keys import create_key, environment_keys, key_digest, project_keys, revoke_key
from store.layout import Layout


def test_a_key_is_kept_as_its_hash_alone(layout: Layout) -> None:
    secret = create_key(layout, "shop", who="ann")
    (key,) = project_keys(layout)
    assert (key.name, key.who, key.digest) == ("shop", "ann", key_digest(secret))
    assert key.scopes == {"predict", "feedback"}
    for path in layout.state.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_keys_differ_and_are_long(layout: Layout) -> None:
    first, second = create_key(layout, "a"), create_key(layout, "b")
    assert first != second
    assert len(first) > 40


def test_making_and_revoking_is_in_the_audit_trail(layout: Layout) -> None:
    create_key(layout, "boss", ["admin"], who="ann")
    revoke_key(layout, "boss", who="bob")
    made, revoked = read_events(layout)
    assert (made.what, made.who, made.details) == ("key_created", "ann", {"key": "boss", "scopes": "admin"})
    assert (revoked.what, revoked.who, revoked.details) == ("key_revoked", "bob", {"key": "boss"})
    assert project_keys(layout) == []


def test_names_are_unique_until_they_are_revoked(layout: Layout) -> None:
    create_key(layout, "shop")
    with pytest.raises(UsageError, match="already"):
        create_key(layout, "shop")
    revoke_key(layout, "shop")
    create_key(layout, "shop")


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "é", "a\n"])
def test_a_name_is_a_plain_word(layout: Layout, name: str) -> None:
    with pytest.raises(UsageError):
        create_key(layout, name)


def test_revoking_what_is_not_there_says_what_is(layout: Layout) -> None:
    create_key(layout, "shop")
    with pytest.raises(NotFoundError, match="shop"):
        revoke_key(layout, "shoop")


def test_the_environment_holds_keys_or_their_hashes() -> None:
    secret, token = "an-admins-secret", "dGhlIGtleSBpdHNlbGY="
    value = f"{token}, shop={key_digest('another key here')} ,ops:admin+predict={secret},"
    plain, shop, ops = environment_keys({"WORKBENCH_API_KEYS": value})
    assert (plain.name, plain.digest) == ("environment-1", key_digest(token))
    assert (shop.name, shop.digest) == ("shop", key_digest("another key here"))
    assert shop.scopes == {"predict", "feedback"}
    assert ops.digest == key_digest(secret)
    assert ops.scopes == {"admin", "predict"}
    assert environment_keys({}) == []


@pytest.mark.parametrize("value", ["short", "x:root=0123456789abcdef", "a b=0123456789abcdef"])
def test_what_is_no_key_in_the_environment_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        environment_keys({"WORKBENCH_API_KEYS": value})
    assert value.partition("=")[2] not in str(refused.value) or "=" not in value
    assert "short," not in str(refused.value)
