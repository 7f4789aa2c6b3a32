"""What the pages show, and to whom."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from backend.process.startup import folder_of
from backend.web.pages import wording
from model_store.journal import JOURNAL_NAME, UnreadableTask, url_of
from model_store.maps import PoolMap, write_map
from model_store.project_folder import REPORT_NAME, ROWS_NAME
from tests.model_store.conftest import execute
from tests.states import KEY, mirrored_task, queued_task, round_state
from tests.web.pages.conftest import BROWSER, app_of, confirm

OTHER = "13.1700000001"


def text_of(reply) -> str:
    """The words of a page, as they are read."""
    words = re.sub(r"<[^>]+>", " ", reply.text)
    return " ".join(words.split())


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
def test_root_is_health_when_a_program_asks(client, accept):
    reply = client.get("/", headers={"Accept": accept})
    assert reply.json["status"] == "UP"
    assert "Accept" in reply.headers["Vary"]


def test_root_tells_a_browser_how_to_connect_when_no_project_is(client):
    reply = client.get("/", headers=BROWSER)
    assert reply.mimetype == "text/html"
    assert "http://localhost" in text_of(reply) and "Connect Model" in text_of(reply)


def test_root_shows_a_card_for_each_confirmed_project(client, project):
    project.note_changed("99.1700000000")  # whoever reaches the port may name one
    page = text_of(client.get("/", headers=BROWSER))
    assert "Pets" in page and "1 of 5 labeled" in page
    assert "99" not in page


def test_page_is_refused_without_credentials_but_health_is_not(settings, journal):
    closed = replace(settings, basic_auth_user="admin", basic_auth_pass="secret")
    client = app_of(closed, journal).test_client()
    refused = client.get("/", headers=BROWSER)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic")
    assert client.get("/static/app.js").status_code == 401
    assert client.get("/").status_code == 200


def test_unknown_address_is_a_page_to_a_browser_and_json_to_a_program(client):
    reply = client.get("/projects/12/", headers=BROWSER)
    assert (reply.status_code, reply.mimetype) == (404, "text/html")
    assert "Not Found" in reply.text and 'href="../../"' in reply.text
    reply = client.get("/projects/12/")
    assert (reply.status_code, list(reply.json)) == (404, ["error"])


OWN_HOSTS = ["localhost:9090", "127.0.0.1", "[::1]:9090", "10.0.0.5:9090", "gpu1", "a.localhost"]


@pytest.mark.parametrize("host", [*OWN_HOSTS, "Pages.example:9090", "row.example"])
def test_pages_are_shown_by_an_address_and_by_names_that_the_admin_gave(settings, project, host):
    project.update_project(KEY, row_url="https://row.example:9090/ml")
    named = replace(settings, public_url="https://pages.example")
    client = app_of(named, project).test_client()
    assert client.get("/projects/12", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "x@y", "", "[::1"])
def test_names_of_others_are_shown_nothing_without_credentials(settings, client, project, host):
    # Nobody but a stranger spoke of this row.
    project.note_changed(OTHER)
    project.update_project(OTHER, row_url="http://evil.example:9090")
    headers = {"Host": host} | BROWSER
    for path in ("/", "/progress", "/findings", "/projects/12", "/projects/12/thumbnails/100"):
        reply = client.get(path, headers=headers)
        assert reply.status_code == 421
        assert "Pets" not in reply.text and "ALFAMIX_PUBLIC_URL" in reply.text
    assert client.post("/projects/12/do/pause", headers=headers).status_code == 421
    assert client.get("/", headers={"Host": host}).json["status"] == "UP"
    for path in ("/health", "/metrics", "/static/style.css"):
        assert client.get(path, headers=headers).status_code == 200
    closed = replace(settings, basic_auth_user="admin", basic_auth_pass="secret")
    asked = (
        app_of(closed, project)
        .test_client()
        .get("/projects/12", headers=headers, auth=("admin", "secret"))
    )
    assert asked.status_code == 200


def test_every_answer_says_what_browsers_may_do(client):
    for path in ("/", "/status", "/projects/1", "/static/app.js"):
        headers = client.get(path, headers=BROWSER).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_templates_hold_no_inline_script_and_no_style_of_an_element(client, project):
    for path in ("/", "/projects/12", "/projects/12/quality", "/projects/12/confirm/train"):
        page = client.get(path, headers=BROWSER).text
        assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=", page)


def test_project_page_is_404_when_nobody_confirmed_the_project(client, journal):
    journal.note_changed(KEY)
    assert client.get("/projects/12").status_code == 404
    assert "not connected" in text_of(client.get("/projects/12"))


def test_batch_says_why_each_task_was_chosen(client, project):
    page = text_of(client.get("/projects/12"))
    isolated = "Mixed with 25 % of the mean image of \u2068dog\u2069, its prediction turns to"
    assert isolated in page
    assert page.count("it lies near the border") == 2
    assert "Stands for 7 images of the pool" in page
    assert "task 103 (0.88)" in page
    assert wording.ASKED in page
    assert "0 of 4 in this batch" not in page and "1 of 4 in this batch" in page


def test_drawn_task_shows_no_prediction_until_it_is_labeled(client, project):
    def shown() -> str:
        page = client.get("/projects/12").text
        return next(one for one in page.split("<li class=") if "Task 101," in one)

    assert wording.DRAWN in shown() and "no prediction" in shown()
    assert "cat" not in shown()
    project.tasks.put(KEY, [mirrored_task(101, class_name="dog")])
    assert "cat" in shown() and "90 %" in shown()


def test_page_shows_nothing_of_another_project(client, project):
    confirm(project, OTHER, title="Other")
    project.tasks.put(OTHER, [mirrored_task(500, class_name="secret-class")])
    state = replace(round_state(3), key=OTHER, model_version="other-version")
    project.open_round(state)
    project.note_unreadable(OTHER, [UnreadableTask(500, "http://x/secret.png", "gone", 1.0)])
    page = client.get("/projects/12").text
    assert not re.search("Other|500|secret|other-version", page)
    assert client.get("/projects/12/thumbnails/500").status_code == 404


def test_names_are_shown_as_text_and_apart_from_their_surroundings(client, project):
    name = "<script>x</script>" + "\u0642\u0637\u0629 \U0001f408" * 10
    project.tasks.put(KEY, [mirrored_task(104, class_name=name)])
    page = client.get("/projects/12").text
    assert "<script>x" not in page
    assert f'dir="auto">&lt;script&gt;x&lt;/script&gt;{name[18:]}' in page


@pytest.mark.parametrize("path", ["/projects/12/progress", "/progress"])
def test_progress_is_304_when_nothing_changed(client, project, path):
    first = client.get(path)
    assert first.json["12"]["labeled"] == 1
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    project.update_project(KEY, labeled=2)
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert again.json["12"]["labeled"] == 2


def test_progress_of_a_project_follows_its_batch_and_its_backtest(client, project):
    first = client.get("/projects/12/progress")
    found = first.json["12"]
    assert (found["batch_done"], found["batch_total"]) == (1, 4)
    states = {
        name: (one["state"], one["words"], one["label"]) for name, one in found["tasks"].items()
    }
    waits = ("open", "to label", "")
    labeled = ("labeled", "labeled:", "dog")
    assert states == {"102": waits, "100": waits, "101": waits, "103": labeled}
    assert (found["backtest"], found["backtest_percent"]) == ("", None)
    project.tasks.put(KEY, [mirrored_task(100, is_skipped=True)])
    project.update_project(KEY, backtest="running", backtest_done=1, backtest_total=4)
    changed = client.get("/projects/12/progress", headers={"If-None-Match": first.headers["ETag"]})
    found = changed.json["12"]
    assert (found["batch_done"], found["tasks"]["100"]["words"]) == (2, "skipped")
    assert (found["backtest"], found["backtest_percent"]) == ("Running", 25)


def test_batch_is_shown_to_its_end_when_it_is_smaller_than_the_last_one(client, project):
    page = client.get("/projects/12?start=240").text
    assert "Task 102," in page and "No batch yet" not in page
    assert 'data-poll="../projects/12/progress?start=0"' in page
    state = round_state(4)
    project.open_round(state)
    project.add_to_queue(state, [queued_task(rank, 200 + rank) for rank in range(50)])
    for start, first in ((49, 48), (50, 48), (9999, 48), (30, 30), (24, 24)):
        page = text_of(client.get(f"/projects/12?start={start}"))
        assert f"{first + 1}–{min(first + 24, 50)} of 50" in page
        tasks = client.get(f"/projects/12/progress?start={start}").json["12"]["tasks"]
        assert sorted(tasks)[0] == str(200 + first)


def test_map_places_each_task_with_its_kind(client, project):
    found = client.get("/projects/12/map").json
    assert found["task_ids"] == [100, 101, 102, 103]
    assert found["x"] == [0, 1, 0.5, 1] and found["y"] == [0, 1, 0.5, 0]
    # 101 was drawn at random, 102 asked for: only 100 is the strategy's choice. 103 is labeled.
    assert found["kinds"] == [3, 0, 0, 2]


def test_map_has_no_points_when_no_image_could_be_read(client, project, folder):
    write_map(folder.map_file(4), PoolMap.nothing())
    reply = client.get("/projects/12/map")
    assert reply.status_code == 200
    assert reply.json["task_ids"] == reply.json["x"] == reply.json["kinds"] == []


def test_model_is_sent_while_it_is_kept(client, project, folder):
    folder.checkpoints.mkdir(parents=True)
    (folder.checkpoints / "00003.safetensors").write_bytes(b"tensors")
    reply = client.get("/projects/12/models/00003.safetensors")
    assert reply.data == b"tensors"
    assert "project-12-00003" in reply.headers["Content-Disposition"]
    for name in ("00004.safetensors", "..%2f..%2fjournal.sqlite", "x" * 300):
        assert client.get(f"/projects/12/models/{name}").status_code == 404


def test_accuracy_is_that_of_a_hand_count(client, project):
    # One draw of three was right.
    project.update_project(KEY, labeled=10)
    draws = [(101, "cat"), (104, "cat"), (102, "dog")]
    for task_id, label in draws:
        project.tasks.put(KEY, [mirrored_task(task_id, class_name=label)])
    from model_store.audits import Draw

    given = {101: "cat", 104: "dog", 102: "cat"}
    project.audits.note(
        KEY,
        3,
        [
            Draw(task_id, 10, 0.1, {name: 0.9 if name == said else 0.1 for name in ("cat", "dog")})
            for task_id, said in given.items()
        ],
    )
    page = text_of(client.get("/projects/12/quality"))
    assert "from 3 tasks drawn at random" in page
    assert "cat taken for dog 1 ×" in page and "dog taken for cat 1 ×" in page
    assert "10 33.33 6.15 79.23" in page  # Wilson's interval of 1 in 3
    assert "How sure it is" not in page


def test_random_choice_is_drawn_beside_the_curve_when_a_backtest_has_run(client, project, folder):
    from model_store.audits import Draw

    project.tasks.put(KEY, [mirrored_task(101, class_name="cat")])
    project.audits.note(KEY, 3, [Draw(101, 10, 0.1, {"cat": 0.9, "dog": 0.1})])
    assert "Random choice" not in text_of(client.get("/projects/12/quality"))
    folder.backtest.mkdir(parents=True)
    rows = [
        "strategy,seed,round,n_labeled,accuracy,train_s,select_s",
        *("random,0,0,10,0.50,1,1", "random,0,1,20,0.75,1,1", "auto,0,0,10,0.99,1,1"),
        *("random,1,0,10,0.60,1,1", "random,1,1,20,0.80,1,1"),
    ]
    (folder.backtest / ROWS_NAME).write_text("\n".join(rows))
    project.update_project(KEY, backtest_at=1.0)
    page = text_of(client.get("/projects/12/quality"))
    # Mean, lowest and highest of two runs.
    assert "mean, lowest and highest run 10 55.0 50.0 60.0 20 77.5 75.0 80.0" in page


@pytest.mark.parametrize("rows", ["", "a,b\n1,2", "strategy,n_labeled,accuracy\nrandom,x"])
def test_page_has_no_random_choice_when_the_rows_of_a_backtest_are_damaged(
    client, project, folder, rows
):
    from model_store.audits import Draw

    project.update_project(KEY, labeled=10)
    project.tasks.put(KEY, [mirrored_task(101, class_name="cat")])
    project.audits.note(KEY, 3, [Draw(101, 10, 0.1, {"cat": 0.9, "dog": 0.1})])
    folder.backtest.mkdir(parents=True)
    (folder.backtest / ROWS_NAME).write_text(rows)
    page = text_of(client.get("/projects/12/quality"))
    assert "from 1 tasks" in page and "Random choice" not in page


def test_calibration_is_that_of_a_hand_count(client, project):
    from model_store.audits import Draw

    # It is 90 % sure of 40 tasks, of which every second one is right.
    for task_id in range(500, 540):
        label = "cat" if task_id % 2 else "dog"
        project.tasks.put(KEY, [mirrored_task(task_id, class_name=label)])
    sure = {"cat": 0.9, "dog": 0.1}
    project.audits.note(KEY, 3, [Draw(number, 10, 0.1, sure) for number in range(500, 540)])
    page = text_of(client.get("/projects/12/quality"))
    # Nothing but chance is left: the temperature goes to its end.
    assert "Its probabilities are too sure: temperature 20.00 (95 % interval" in page
    assert "90 % 40 50.0 % (35.2 to 64.8)" in page  # Wilson's interval of 20 in 40


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        # Wilson's interval of 1 in 2.
        ({"preselect": "True"}, "kept in this batch: 1 of 2: 50.0 % (9.5 to 90.5)"),
        ({"preselect": "False"}, ""),
    ],
)
def test_kept_preselections_are_those_of_a_hand_count(client, project, noted, words):
    # 201 is kept, 202 changed; 203 waits, 204 shows nothing, and 205 was not published.
    shown = {201: "cat", 202: "cat", 203: "cat", 204: None, 205: "cat"}
    labels = {201: "cat", 202: "dog", 204: "cat", 205: "cat"}
    project.tasks.put(
        KEY, [mirrored_task(number, class_name=name) for number, name in labels.items()]
    )
    project.tasks.put(KEY, [mirrored_task(203)])
    state = round_state(4, settings=noted)
    project.open_round(state)
    project.add_to_queue(
        state,
        [
            queued_task(
                rank, number, class_name=name, prediction_id=None if number == 205 else 7 + rank
            )
            for rank, (number, name) in enumerate(shown.items())
        ],
    )
    page = text_of(client.get("/projects/12/quality"))
    assert words in page
    assert ("Pre-selected" in page) == bool(words)


def test_accuracy_speaks_of_the_classes_of_the_round_that_the_queue_follows(client, project):
    project.tasks.put(KEY, [mirrored_task(101, class_name="dog")])
    assert "bird" not in text_of(client.get("/projects/12/quality"))
    project.open_round(round_state(4, classes=["cat", "dog", "bird"]))
    assert "bird" in text_of(client.get("/projects/12/quality"))


@pytest.fixture
def measured_project(project):
    """Three rounds with ten tasks each measured, on 200, 300 and 400 labels."""
    from model_store.audits import Draw

    for number, n_labeled in enumerate((200, 300, 400), start=1):
        ids = range(1000 * number, 1000 * number + 10)
        project.tasks.put(KEY, [mirrored_task(task_id, class_name="cat") for task_id in ids])
        given = [{"cat": 0.7, "dog": 0.3}] * 8 + [{"cat": 0.3, "dog": 0.7}] * 2
        draws = [Draw(*one) for one in zip(ids, [n_labeled] * 10, [0.1] * 10, given, strict=True)]
        project.audits.note(KEY, number, draws)
    return project


@pytest.mark.parametrize("labeled", [199, 5, 0])
def test_no_accuracy_is_told_when_labels_were_removed(client, measured_project, labeled):
    measured_project.update_project(KEY, labeled=labeled, pool=900)
    page = text_of(client.get("/projects/12/quality"))
    assert f"Labels were removed: {labeled} are left" in page
    assert "right, from" not in page and "nan" not in page and " -" not in page
    card = text_of(client.get("/projects/12/accuracy"))
    assert card == "Accuracy: measured again with the next batch"


@pytest.mark.parametrize(
    ("pool", "words"), [(900, "20 more labels:"), (7, "7 more labels:"), (0, "No task is left")]
)
def test_advice_speaks_of_no_more_labels_than_tasks_are_left(client, measured_project, pool, words):
    measured_project.update_project(KEY, labeled=400, pool=pool)
    assert words in text_of(client.get("/projects/12/quality"))


def test_every_interval_says_how_often_it_holds(client, measured_project):
    measured_project.update_project(KEY, labeled=400, pool=900)
    page = text_of(client.get("/projects/12/quality"))
    assert re.search(r"[0-9.]+ % \(90 % interval [0-9.]+ to [0-9.]+\) right, from 30 tasks", page)
    assert re.search(r"20 more labels: \+[0-9.]+ points \(90 % interval", page)
    assert "What follows is from 30 tasks of rounds 1 to 3:" in page
    for words in (
        *("The band is the curve's 90 % interval", "through all rounds: 90 % interval"),
        *("by itself: 95 % interval", "Recall, 95 % interval", "Right, 95 % interval"),
    ):
        assert words in page
    assert re.search(r"temperature [0-9.]+ \(95 % interval", page)


def test_accuracy_names_the_setting_when_no_task_is_drawn(client, project):
    assert "Not measured yet: tasks are drawn" in text_of(client.get("/projects/12/quality"))
    project.update_project(KEY, own_settings={"audit": "0"})
    page = text_of(client.get("/projects/12/quality"))
    assert page == (
        "No task is drawn at random to measure it: Share drawn at random (ALFAMIX_AUDIT) is 0."
    )
    card = text_of(client.get("/projects/12/accuracy"))
    assert card == "Accuracy: not measured, as no task is drawn at random"


def test_confusions_say_of_how_many_pairs_they_are_the_most_frequent(client, project):
    from model_store.audits import Draw

    # 14 classes, each of which was taken for the next one; 13 for the first.
    classes = [f"kind-{number:02}" for number in range(14)]
    project.open_round(round_state(4, classes=classes))
    draws = []
    for number, name in enumerate(classes):
        project.tasks.put(KEY, [mirrored_task(500 + number, class_name=name)])
        taken_for = classes[(number + 1) % 14]
        given = {other: 0.5 if other == taken_for else 0.01 for other in classes}
        draws.append(Draw(500 + number, 1, 0.1, given))
    project.audits.note(KEY, 4, draws)
    page = text_of(client.get("/projects/12/quality"))
    assert "The 12 most frequent of 14 pairs of classes." in page
    assert page.count("taken for") == 12


def test_classes_without_a_label_are_shown(client, project):
    assert re.search(r"Share dog 1 cat 0 Rounds", text_of(client.get("/projects/12")))


def test_backtest_says_of_the_strategy_with_how_many_labels_before_its_report(
    client, project, folder
):
    said = "auto: it reaches 95 % of random's final accuracy with 61 % of the labels"
    folder.backtest.mkdir(parents=True)
    (folder.backtest / REPORT_NAME).write_text(f"labels  auto\n{said}\nmargin: it does not\n")
    page = client.get("/projects/12").text
    assert "<p>" + said.replace("'", "&#39;") + "</p>" in page
    assert said in text_of(client.get("/projects/12/accuracy")).replace("&#39;", "'")
    project.update_project(KEY, own_settings={"strategy": "badge"})
    assert "<p>auto:" not in client.get("/projects/12").text


def test_draws_of_earlier_rounds_are_not_read_with_their_probabilities(client, project, settings):
    from model_store.audits import Draw

    # 400 draws of rounds 1 and 2; round 3 has one.
    project.update_project(KEY, labeled=400)
    tasks = [mirrored_task(number, class_name="cat") for number in range(500, 900)]
    project.tasks.put(KEY, tasks)
    sure = {"cat": 0.9, "dog": 0.1}
    for number, ids in ((1, range(500, 700)), (2, range(700, 900))):
        project.audits.note(KEY, number, [Draw(task_id, 10, 0.1, sure) for task_id in ids])
    damaged = "UPDATE audit SET probabilities = 'damaged' WHERE number = 1 AND task_id > 500"
    execute(url_of(folder_of(settings) / JOURNAL_NAME), damaged)
    assert wording.DRAWN in client.get("/projects/12").text
    page = text_of(client.get("/projects/12/quality"))
    assert "from 400 tasks drawn at random" in page
    assert "What follows is from 200 tasks of round 2:" in page
    assert "90 % 200 100.0 % (98.1 to 100.0)" in page  # Wilson's interval of 200 in 200
    assert client.get("/projects/12/accuracy").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/projects/0", "/projects/-1", "/projects/x", f"/projects/{2**63}", f"/projects/{9**40}"),
        *("/projects/12?start=-1", "/projects/12?start=x", f"/projects/12?start={9**40}"),
        *("/projects/12/confirm/x", "/projects/12/thumbnails/9", "/projects/12/models/%00"),
        *(f"/projects/12/thumbnails/{2**63}", "/projects/12/models/%ff%fe", "/static/../app.py"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(client: FlaskClient, project, path):
    reply = client.get(path, headers=BROWSER)
    assert 400 <= reply.status_code < 500
