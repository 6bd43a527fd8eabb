"""A page for each call of a helper, per thread."""

import threading

import pytest

from labhelpers.transcript import FirstUse, Transcript, told


class Pod:
    def __init__(self):
        self.transcript = Transcript()

    @property
    @told
    def phase(self):
        self.transcript.note("kubectl get pod", python="client.CoreV1Api()")
        return "Running"

    @told
    def wait(self, fails=False):
        """Waits."""
        self.transcript.note("kubectl wait pod")
        if fails:
            raise ValueError
        return self.phase

    @told
    def hint(self):
        pass


def test_the_outermost_call_begins_a_page_and_nested_calls_add_to_it():
    pod = Pod()
    assert pod.phase == "Running"
    assert pod.transcript.page.lines == ["kubectl get pod"]
    assert pod.wait() == "Running"
    assert pod.transcript.page.lines == ["kubectl wait pod", "kubectl get pod"]
    assert pod.transcript.page.python == ["client.CoreV1Api()"]
    pod.hint()
    assert pod.transcript.page.lines == []


def test_a_helper_that_fails_ends_its_page():
    pod = Pod()
    with pytest.raises(ValueError):
        pod.wait(fails=True)
    assert pod.transcript.page.lines == ["kubectl wait pod"]
    assert pod.phase == "Running"
    assert pod.transcript.page.lines == ["kubectl get pod"]


def test_looking_at_a_helper_changes_no_page():
    pod = Pod()
    pod.wait()
    page = pod.transcript.page
    assert pod.wait.__doc__ == "Waits."
    assert pod.transcript.page is page


def test_each_thread_has_its_own_pages():
    pod = Pod()
    pod.hint()
    seen = []

    def slide():
        pod.wait()
        seen.extend(pod.transcript.page.lines)

    thread = threading.Thread(target=slide)
    thread.start()
    thread.join()
    assert seen == ["kubectl wait pod", "kubectl get pod"]
    assert pod.transcript.page.lines == []
    pod.wait()
    assert [use.helper for use in pod.transcript.first_use()] == ["Pod.wait"]


def test_lines_are_not_repeated_and_quiet_ones_are_left_out():
    transcript = Transcript()
    with transcript.helper("Node.kill"):
        transcript.note("kubectl exec", "kubectl exec")
        with transcript.quietly():
            transcript.note("kubectl get")
        transcript.note("kubectl exec", "kubectl wait")
    assert transcript.page.lines == ["kubectl exec", "kubectl wait"]


def test_outside_any_helper_each_note_is_a_page():
    transcript = Transcript()
    transcript.note("one")
    transcript.note("two")
    assert (transcript.page.helper, transcript.page.lines) == ("", ["two"])
    assert transcript.first_use() == []


def test_first_use_names_each_helper_once_and_only_the_outermost():
    pod = Pod()
    pod.hint()
    pod.wait()
    pod.wait()
    wait = FirstUse("Pod.wait", ["kubectl wait pod", "kubectl get pod"], ["client.CoreV1Api()"])
    assert pod.transcript.first_use() == [wait]
    pod.wait()
    assert pod.transcript.first_use() == []
    assert pod.phase
    assert [use.helper for use in pod.transcript.first_use()] == ["Pod.phase"]


def test_a_frozen_object_tells_nothing():
    class Frozen(Pod):
        transcript = None

        def __init__(self):
            pass

        @told
        def wait(self):
            return 7

    assert Frozen().wait() == 7


def test_a_check_is_asked_before_each_outermost_helper_in_every_thread():
    asked: list[str] = []
    transcript = Transcript([])
    transcript.checks.append(asked.append)

    def use() -> None:
        with transcript.helper("Lab.apply"), transcript.helper("Pod.wait_until"):
            pass

    use()
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    with transcript.quietly(), transcript.helper("Pod.phase"):
        pass
    assert asked == ["Lab.apply", "Lab.apply"]


def test_what_a_check_refuses_does_not_begin():
    def refuse(helper: str) -> None:
        raise RuntimeError(helper)

    transcript, begun = Transcript([refuse]), []
    with pytest.raises(RuntimeError, match=r"Lab.apply"), transcript.helper("Lab.apply"):
        begun.append(True)
    assert begun == []
    transcript.checks.clear()
    with transcript.helper("Lab.apply"):  # the page was not left open
        transcript.note("kubectl apply")
    assert transcript.page.helper == "Lab.apply"
