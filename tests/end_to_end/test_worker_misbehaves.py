"""Workers that crash, lie, fall silent or will not stop: every pending request fails exactly once, and QGIS goes on."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

PEERS = Path(__file__).with_name("peers")


class Heard:
    """Everything that a handle said."""

    def __init__(self, handle) -> None:
        self.handle = handle
        self.results: list = []
        self.failures: list = []
        self.ends = 0
        handle.done.connect(self.results.append)
        handle.failed.connect(self.failures.append)
        handle.finished.connect(self._end)

    def _end(self) -> None:
        self.ends += 1

    @property
    def answers(self) -> int:
        return len(self.results) + len(self.failures)


@pytest.fixture
def client_of(qgis_app, tmp_path):
    """A client whose worker is one of the peers."""
    from skysense_qgis.client.client import Client

    clients = []

    def make(peer: str) -> Client:
        clients.append(Client("jobs", tmp_path / "log" / f"{peer}.log", program=PEERS / f"{peer}.py"))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def ask(client) -> Heard:
    from skysense_qgis.protocol.requests import ListModels

    return Heard(client.submit(ListModels("")))


def _ended(heard: Heard) -> int:
    return heard.ends


def starts(client) -> int:
    """How often the worker was started, as it said itself."""
    return client.log.read_text().count("started ") if client.log.exists() else 0


@pytest.mark.parametrize(
    ("peer", "code", "word", "logged"),
    [
        ("crashes", "crashed", "killed or crashed", "took Call"),
        ("half_frame", "crashed", "ended with code 0", "took Call"),
        ("garbage", "protocol", "no message", "took Call"),
        ("prints", "protocol", "no message", "took Call"),
        ("oversized", "protocol", "1099511627776 bytes", "took Call"),
        ("unknown_message", "protocol", "mood", "took Call"),
        ("other_protocol", "protocol", "protocol 99", "started"),
        ("no_start", "environment", "could not be started", "No module named 'torch'"),
    ],
)
def test_all_that_wait_fail_once_and_are_told_why(client_of, wait, peer, code, word, logged):
    client = client_of(peer)
    heard = [ask(client) for _ in range(3)]
    wait(lambda: all(one.answers for one in heard), 15)
    for one in heard:
        assert (one.answers, one.ends, one.results) == (1, 1, [])
        assert one.failures[0].code == code and word in one.failures[0].sentence and one.failures[0].remedy
        assert logged in one.failures[0].log
    assert not client.busy


def test_a_missing_program_fails_in_words(qgis_app, tmp_path, wait):
    from skysense_qgis.client.client import Client

    client = Client("jobs", tmp_path / "a.log", program=tmp_path / "no python")
    heard = ask(client)
    wait(lambda: heard.ends, 5)
    assert heard.failures[0].code == "environment" and "could not be started" in heard.failures[0].sentence
    assert "logged nothing" in heard.failures[0].log
    client.close()


def test_the_log_is_of_the_worker_that_failed_alone(client_of, wait):
    client = client_of("no_start")
    client.log.parent.mkdir()
    client.log.write_text("of yesterday\n")
    heard = ask(client)
    wait(lambda: heard.ends, 10)
    assert "No module named 'torch'" in heard.failures[0].log and "yesterday" not in heard.failures[0].log
    assert client.log.read_text().startswith("of yesterday\n")
    assert "settings" in heard.failures[0].remedy


def test_an_answer_of_another_kind_is_a_failure(client_of, wait):
    heard = ask(client_of("other_answer"))
    wait(lambda: heard.ends, 10)
    assert heard.failures[0].code == "protocol" and "took Call" in heard.failures[0].log


def test_late_and_double_replies_are_dropped(client_of, wait):
    client = client_of("late")
    first, second = ask(client), ask(client)
    wait(lambda: first.ends and second.ends, 10)
    third = ask(client)
    wait(lambda: third.ends, 10)
    end = time.monotonic() + 1.0
    wait(lambda: time.monotonic() > end)
    for one in (first, second, third):
        assert (len(one.results), one.ends, one.failures) == (1, 1, [])
    assert starts(client) == 1


def test_silence_is_noticed(client_of, wait, monkeypatch):
    from skysense_qgis.client import client as module

    monkeypatch.setattr(module, "SILENCE_S", 2.0)
    client = client_of("silent")
    began = time.monotonic()
    heard = ask(client)
    wait(lambda: heard.ends, 15)
    assert time.monotonic() - began > 2.0
    assert heard.failures[0].code == "crashed" and "Nothing was heard" in heard.failures[0].sentence
    assert "took Call" in heard.failures[0].log


@pytest.mark.parametrize("peer", ["no_hello", "no_capabilities"])
def test_silence_before_it_is_ready_gets_more_patience_but_not_for_ever(client_of, wait, monkeypatch, peer):
    """Loading libraries for the first time takes long, and says nothing."""
    from skysense_qgis.client import client as module

    monkeypatch.setattr(module, "SILENCE_S", 0.5)
    monkeypatch.setattr(module, "START_S", 3.0)
    client = client_of(peer)
    began = time.monotonic()
    heard = [ask(client), ask(client)]
    wait(lambda: all(one.ends for one in heard), 10)
    assert 3.0 < time.monotonic() - began < 5.0
    for one in heard:
        assert one.failures[0].code == "crashed" and "Nothing was heard" in one.failures[0].sentence
        assert "took Call" in one.failures[0].log and one.answers == 1


def test_an_idle_worker_may_be_silent(client_of, wait, monkeypatch):
    from skysense_qgis.client import client as module

    monkeypatch.setattr(module, "SILENCE_S", 1.0)
    client = client_of("late")
    first = ask(client)
    wait(lambda: first.ends, 10)
    end = time.monotonic() + 1.5
    wait(lambda: time.monotonic() > end)
    second = ask(client)
    wait(lambda: second.ends, 10)
    assert second.results and starts(client) == 1


def test_nobody_is_blamed_for_the_time_that_qgis_itself_stood_still(client_of, wait, monkeypatch):
    from skysense_qgis.client import client as module

    monkeypatch.setattr(module, "SILENCE_S", 1.0)
    client = client_of("deaf")
    heard = ask(client)
    wait(lambda: client.state == "ready", 10)
    time.sleep(4.0)  # the worker goes on beating
    end = time.monotonic() + 1.0
    wait(lambda: time.monotonic() > end)
    assert heard.answers == 0 and starts(client) == 1


@pytest.mark.parametrize("stall_s", [1.2, 1.6, 2.0, 2.4])
def test_a_cancel_before_qgis_stood_still_costs_the_worker_nothing(client_of, wait, stall_s):
    """It could not even hear of the cancel, or nobody read that it did."""
    client = client_of("obedient")
    heard = ask(client)
    wait(lambda: client.state == "ready", 10)
    pid = client.pid
    heard.handle.cancel()
    time.sleep(stall_s)
    wait(lambda: heard.ends, 3)
    end = time.monotonic() + 0.6
    wait(lambda: time.monotonic() > end)
    assert heard.failures[0].code == "cancelled" and client.pid == pid and starts(client) == 1


@pytest.mark.parametrize(("peer", "limit_s"), [("slow_to_stop", 3.0), ("deaf", 2.0)])
def test_a_worker_that_does_not_stop_is_killed_and_started_again(client_of, wait, peer, limit_s):
    client = client_of(peer)
    mine, other = ask(client), ask(client)
    wait(lambda: client.state == "ready", 10)
    pid = client.pid
    asked = time.monotonic()
    mine.handle.cancel()
    mine.handle.cancel()
    wait(lambda: mine.ends and other.ends, 10)
    assert time.monotonic() - asked < limit_s
    assert [one.failures[0].code for one in (mine, other)] == ["cancelled", "crashed"]
    assert ("took Cancel" if peer == "slow_to_stop" else "started") in other.failures[0].log
    assert (mine.answers, other.answers) == (1, 1)
    wait(lambda: client.state == "ready" and client.pid != pid, 10)
    assert not Path(f"/proc/{pid}").exists()
    assert not client._crashes  # the user may do this as often as he likes


def test_a_cancel_while_the_worker_starts_is_answered_at_once(client_of, wait):
    client = client_of("late")
    heard = ask(client)
    heard.handle.cancel()
    wait(lambda: heard.ends, 1)
    assert heard.failures[0].code == "cancelled" and heard.results == []
    second = ask(client)
    wait(lambda: second.ends, 10)
    assert second.results and heard.answers == 1 and starts(client) == 1


def test_after_five_crashes_it_is_not_started_again(client_of, wait):
    client = client_of("crashes")
    states = []
    client.state_changed.connect(states.append)
    for _ in range(5):
        wait(partial(_ended, ask(client)), 10)
    wait(lambda: client.state == "failed", 5)
    assert starts(client) == 5 and client.pid is None
    refused = ask(client)
    wait(lambda: refused.ends, 5)
    assert refused.failures[0].code == "crashed" and "5 times within 3 minutes" in refused.failures[0].sentence
    assert starts(client) == 5 and client.reason in refused.failures[0].sentence
    assert "took Call" in refused.failures[0].log  # of the last crash
    assert states[-1] == "failed"


def test_a_restart_forgives_crashes_at_once(client_of, wait):
    """The engine was set up anew: nobody waits three minutes for it."""
    client = client_of("crashes")
    states = []
    for _ in range(5):
        wait(partial(_ended, ask(client)), 10)
    wait(lambda: client.state == "failed", 5)
    client.state_changed.connect(states.append)
    client.restart()
    assert states == ["stopped"] and client.state == "stopped" and client.reason == ""
    again = ask(client)
    wait(lambda: again.ends, 10)
    assert starts(client) == 6


def test_a_restart_lets_a_worker_finish_and_then_takes_another(client_of, wait):
    client = client_of("obedient")
    heard = ask(client)
    wait(lambda: client.state == "ready", 10)
    pid = client.pid
    client.restart()
    end = time.monotonic() + 1.0
    wait(lambda: time.monotonic() > end)
    assert heard.answers == 0 and client.pid == pid
    heard.handle.cancel()
    wait(lambda: heard.ends, 3)
    assert client.state == "stopped" and client.pid is None
    wait(lambda: not Path(f"/proc/{pid}").exists(), 5)
    again = ask(client)
    wait(lambda: client.state == "ready", 10)
    assert client.pid not in (None, pid) and starts(client) == 2
    client.restart()
    again.handle.cancel()
    wait(lambda: again.ends, 3)
    assert not client._crashes


def test_an_idle_worker_ends_with_the_restart(client_of, wait):
    client = client_of("late")
    wait(partial(_ended, ask(client)), 10)
    pid = client.pid
    client.restart()
    assert client.state == "stopped" and client.pid is None
    wait(lambda: not Path(f"/proc/{pid}").exists(), 5)
    end = time.monotonic() + 0.5
    wait(lambda: time.monotonic() > end)
    assert starts(client) == 1 and client.state == "stopped"


def test_crashes_that_lie_behind_are_forgiven(client_of, wait, monkeypatch):
    from skysense_qgis.client import client as module

    monkeypatch.setattr(module, "WITHIN_S", 3.0)
    client = client_of("no_start")
    for _ in range(5):
        wait(partial(_ended, ask(client)), 10)
    assert client.state == "failed" and client.reason
    wait(lambda: client.state == "stopped", 10)
    assert client.reason == ""
    again = ask(client)
    wait(lambda: again.ends, 10)
    assert starts(client) == 6


def test_a_closed_client_answers_and_starts_nothing(client_of, wait):
    client = client_of("silent")
    heard = ask(client)
    wait(lambda: client.state == "ready", 10)
    client.close()
    assert heard.failures[0].code == "cancelled" and heard.answers == 1
    late = ask(client)
    wait(lambda: late.ends, 5)
    assert late.failures[0].code == "cancelled" and starts(client) == 1
