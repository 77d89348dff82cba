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
    ("peer", "code", "word"),
    [
        ("crashes", "crashed", "killed or crashed"),
        ("half_frame", "crashed", "ended with code 0"),
        ("garbage", "protocol", "no message"),
        ("prints", "protocol", "no message"),
        ("oversized", "protocol", "1099511627776 bytes"),
        ("unknown_message", "protocol", "mood"),
        ("other_protocol", "protocol", "protocol 99"),
        ("no_start", "environment", "could not be started"),
    ],
)
def test_all_that_wait_fail_once_and_are_told_why(client_of, wait, peer, code, word):
    client = client_of(peer)
    heard = [ask(client) for _ in range(3)]
    wait(lambda: all(one.answers for one in heard), 15)
    for one in heard:
        assert (one.answers, one.ends, one.results) == (1, 1, [])
        assert one.failures[0].code == code and word in one.failures[0].sentence and one.failures[0].remedy
    assert not client.busy


def test_a_missing_program_fails_in_words(qgis_app, tmp_path, wait):
    from skysense_qgis.client.client import Client

    client = Client("jobs", tmp_path / "a.log", program=tmp_path / "no python")
    heard = ask(client)
    wait(lambda: heard.ends, 5)
    assert heard.failures[0].code == "environment" and "could not be started" in heard.failures[0].sentence
    client.close()


def test_the_log_of_a_worker_that_cannot_start_comes_with_the_failure(client_of, wait):
    heard = ask(client_of("no_start"))
    wait(lambda: heard.ends, 10)
    assert "No module named 'torch'" in heard.failures[0].log
    assert "settings" in heard.failures[0].remedy


def test_an_answer_of_another_kind_is_a_failure(client_of, wait):
    heard = ask(client_of("other_answer"))
    wait(lambda: heard.ends, 10)
    assert heard.failures[0].code == "protocol"


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
    assert states[-1] == "failed"


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
