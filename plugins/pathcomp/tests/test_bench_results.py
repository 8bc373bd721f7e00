"""Results as CSV, JSON and a table, and charts of them."""

import json

from dpb_pathcomp.bench.plots import Panel, Series, draw
from dpb_pathcomp.bench.results import Results, rounded

ROWS = [
    {"topology": "ba:54", "algorithm": "bast", "blocking_percent": 1.25, "ci": None},
    {"topology": "ba:54", "algorithm": "mine", "blocking_percent": 12345.678, "ci": 0.5},
]
RESULTS = Results("blocking", {"seed": 1}, ROWS, [{"seed": 1}])


def test_csv() -> None:
    assert RESULTS.csv() == ("topology,algorithm,blocking_percent,ci\nba:54,bast,1.25,\nba:54,mine,12345.678,0.5\n")
    assert Results("fill", {}, []).csv() == ""


def test_json() -> None:
    document = json.loads(RESULTS.json())
    made_by = document.pop("made_by")
    assert made_by["bast"].startswith("dpb-pathcomp ")
    assert made_by["python"].startswith("3.")
    assert document == {
        "command": "blocking", "parameters": {"seed": 1}, "summary": [], "rows": ROWS, "runs": [{"seed": 1}],
    }  # fmt: skip


def test_the_table_says_once_what_is_always_the_same() -> None:
    assert RESULTS.table().splitlines() == [
        "topology ba:54",
        "algorithm  blocking_percent   ci",
        "bast                   1.25    -",
        "mine                  12346  0.5",
    ]
    assert Results("fill", {}, ROWS[:1]).table().splitlines()[0].startswith("topology")
    assert Results("fill", {}, []).table() == "nothing was measured"


def test_people_are_shown_the_summary() -> None:
    assert Results("latency", {}, ROWS, summary=[{"n": 3}]).table() == "n\n3"


def test_rounding() -> None:
    assert [rounded(value) for value in (0, 1234567.8, 0.00012345678, 3.0)] == [0, 1234570, 0.000123457, 3]
    assert rounded(float("nan")) is None
    assert rounded(12.3456, 3) == 12.3


def test_charts_are_the_same_for_the_same_figures() -> None:
    lines = [Series("bast", [1, 2, 3], [1.0, 2.0, 4.0], [0.1, 0.2, 0.1]), Series("mine", [1, 2], [3.0, 1.0])]
    panels = [Panel("one", "load", "blocking, %", lines), Panel("two", "switches", "us", lines, log_x=True, log_y=True)]
    picture = draw(panels, "svg")
    assert picture == draw(panels, "svg")
    for text in (b"blocking, %", b"bast", b"mine", b"two"):
        assert text in picture
    assert draw(panels, "png").startswith(b"\x89PNG")
