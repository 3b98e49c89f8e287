"""Which account an agent serves: configured, learned, disputed (T3)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetkit.config import AgentConfig
from fleetkit.gateway import Bindings, Verdict
from fleetkit.model import Binding


def agents(**accounts):
    return [
        AgentConfig(name=name, url=f"http://{name}", account=account)
        for name, account in accounts.items()
    ]


def fresh(*names):
    return Bindings(agents(**dict.fromkeys(names)), {})


def test_a_configured_account_is_never_changed_by_an_answer():
    """Any other number is wrong, from the first answer on."""
    bindings = Bindings(agents(a=7), {"a": (8, 2)})
    assert bindings.state("a") is Binding.CONFIGURED
    assert bindings.observe("a", 8) is Verdict.WRONG
    assert bindings.observe("a", 7) is Verdict.OWN
    assert bindings.account_of("a") == 7
    assert bindings.agent_of(7) == "a"
    assert bindings.agent_of(8) is None
    assert bindings.learned("a") is None


def test_a_number_is_learned_and_confirmed_by_the_second_answer():
    """Then another number is wrong, and changes nothing."""
    bindings = fresh("a")
    assert (bindings.state("a"), bindings.account_of("a")) == (Binding.UNKNOWN, None)
    assert bindings.observe("a", 7) is Verdict.OWN
    assert (bindings.state("a"), bindings.learned("a")) == (Binding.LEARNED, (7, 1))
    assert bindings.observe("a", 8) is Verdict.WRONG
    assert bindings.state("a") is Binding.LEARNED
    assert bindings.observe("a", 7) is Verdict.OWN
    assert bindings.observe("a", 7) is Verdict.OWN
    assert (bindings.state("a"), bindings.learned("a")) == (Binding.CONFIRMED, (7, 2))


def test_what_was_learned_before_holds_from_the_start():
    """A cross-wired first answer of a new session meets it."""
    bindings = Bindings(agents(a=None), {"a": (7, 2)})
    assert bindings.state("a") is Binding.CONFIRMED
    assert bindings.observe("a", 8) is Verdict.WRONG
    assert bindings.account_of("a") == 7


def test_a_learned_number_gives_way_to_a_configured_one():
    """What the file says wins over what was learned of another agent."""
    bindings = Bindings(agents(a=7, b=None), {"b": (7, 2)})
    assert bindings.account_of("b") is None
    assert bindings.agent_of(7) == "a"


def test_two_learners_of_one_number_void_both():
    """Neither has it, and both are shown as in conflict."""
    bindings = fresh("a", "b")
    bindings.observe("a", 7)
    assert bindings.observe("b", 7) is Verdict.CONFLICT
    assert bindings.agent_of(7) is None
    for name in "ab":
        assert bindings.account_of(name) is None
        assert bindings.state(name) is Binding.CONFLICT
        assert bindings.observe(name, 7) is Verdict.CONFLICT
    assert bindings.claimants(7) == {"a", "b"}


def test_a_conflict_ends_when_one_of_the_two_says_otherwise():
    """The one that moves is learned anew, and then the other one is."""
    bindings = fresh("a", "b")
    bindings.observe("a", 7), bindings.observe("b", 7)
    assert bindings.observe("b", 8) is Verdict.OWN
    assert bindings.account_of("b") == 8
    assert bindings.account_of("a") is None
    assert bindings.observe("a", 7) is Verdict.OWN
    assert [bindings.state(name) for name in "ab"] == [Binding.LEARNED] * 2
    assert bindings.claimants(7) == frozenset()


def test_three_claimants_are_all_in_conflict_until_one_is_left():
    """Two that move make room for the third."""
    bindings = fresh("a", "b", "c")
    for name in "abc":
        bindings.observe(name, 7)
    assert bindings.claimants(7) == {"a", "b", "c"}
    assert bindings.observe("c", 9) is Verdict.OWN
    assert bindings.observe("a", 7) is Verdict.CONFLICT
    assert bindings.observe("b", 8) is Verdict.OWN
    assert bindings.observe("a", 7) is Verdict.OWN


def test_a_learner_cannot_take_a_configured_number():
    """The configured agent keeps it; the other is shown as in conflict until it moves."""
    bindings = Bindings(agents(a=7, b=None), {})
    assert bindings.observe("b", 7) is Verdict.CONFLICT
    assert bindings.account_of("a") == 7
    assert "a" not in bindings.claimants(7)
    assert bindings.state("b") is Binding.CONFLICT
    assert bindings.observe("b", 8) is Verdict.OWN
    assert bindings.state("b") is Binding.LEARNED


def test_the_repr_counts_what_is_known():
    """Configured, learned, disputed."""
    bindings = Bindings(agents(a=7, b=None, c=None, d=None), {})
    for name, account in (("b", 8), ("c", 9), ("d", 9)):
        bindings.observe(name, account)
    assert repr(bindings) == "<Bindings 1 configured, 1 learned, 1 disputed>"


NAMES = ("a", "b", "c", "configured")


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 4)), max_size=40))
def test_no_account_ever_has_two_owners(answers):
    """Whatever agents claim: one owner a number, and owner and account agree."""
    bindings = Bindings(agents(a=None, b=None, c=None, configured=1), {})
    for name, account in answers:
        before = bindings.account_of(name)
        verdict = bindings.observe(name, account)
        known = [bindings.account_of(n) for n in NAMES if bindings.account_of(n) is not None]
        assert len(known) == len(set(known))
        assert all(bindings.account_of(bindings.agent_of(number)) == number for number in known)
        assert bindings.account_of("configured") == 1
        assert (verdict is Verdict.OWN) == (bindings.account_of(name) == account)
        if before is not None:
            assert verdict is not Verdict.CONFLICT
            assert bindings.account_of(name) == before
