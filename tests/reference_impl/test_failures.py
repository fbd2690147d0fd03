"""Which of several failing ranks is the reason."""

from __future__ import annotations

import signal

from dpprof.reference.launch.failures import Failure, death_of, failure_of, first_failure

LOST = "[pair.cc:553] Connection closed by peer [127.0.0.1]:22440"


def test_a_lost_connection_is_nobodys_reason():
    own = failure_of(1, ValueError("out of luck"), "Traceback")
    lost = failure_of(0, RuntimeError(LOST), "Traceback")
    assert (own.lost_peer, lost.lost_peer) == (False, True)
    assert first_failure([lost, own]) == own
    assert first_failure([lost]) == lost


def test_of_several_reasons_the_earliest_counts_and_a_silent_death_comes_last(tmp_path):
    killed = death_of(2, -signal.SIGKILL, tmp_path / "none.log")
    lost = Failure(0, "lost", 1.0, lost_peer=True)
    assert first_failure([lost, killed]) == killed
    early, late = Failure(3, "early", 5.0), Failure(1, "late", 6.0)
    assert first_failure([killed, late, lost, early]) == early


def test_a_silent_death_tells_what_was_printed_last(tmp_path):
    log = tmp_path / "rank2.log"
    log.write_text("one\n\xe9 two\n", encoding="latin-1")
    words = "; out of memory, or killed from outside"
    assert death_of(2, -9, log).words == (
        f"rank 2 died (signal SIGKILL{words}); the other ranks were stopped\n"
        "The last it printed:\none\n\ufffd two"
    )
    assert death_of(2, 7, tmp_path / "none").words == (
        "rank 2 died (exit code 7); the other ranks were stopped"
    )
