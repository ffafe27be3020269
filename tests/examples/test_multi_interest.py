"""The example learns on a small budget, and the table of its page is that of its measurements."""

import json
from pathlib import Path

import torch
from tests.examples.test_loops import load

ROOT = Path(__file__).parents[2]


def test_example_writes_the_recall_of_each_network(tmp_path, capsys):
    recall = load("multi_interest").main(epochs=1, users=100, seeds=1, out=tmp_path / "measured.json")
    measured = json.loads((tmp_path / "measured.json").read_text())
    assert list(measured["networks"]) == list(recall)
    assert capsys.readouterr().out.count("recall@20") == len(recall) == 5


def test_example_learns():
    example = load("multi_interest")
    network = example.Recommender("self-attention")
    example.train(network, example.draw_users(600, seed=0), epochs=4, seed=0)
    # by chance 20 of 800 items
    assert example.evaluate(network, example.draw_users(400, seed=1))["recall"] > 2 * 20 / 800


def test_histories_are_of_a_users_topics():
    example = load("multi_interest")
    users = example.draw_users(50, seed=0)
    assert ((users.topics.sum(dim=1) >= 1) & (users.topics.sum(dim=1) <= 3)).all()
    topics = users.items // example.ITEMS_OF_TOPIC
    assert users.topics.gather(1, topics)[users.mask].all()
    assert torch.equal(users.mask.sum(dim=1).clamp(8, 24), users.mask.sum(dim=1))


def test_table_of_the_page_is_that_of_the_measurements(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import recommenders
    import results

    page = (ROOT / "docs" / "recommenders.md").read_text()
    assert results.put(page, recommenders.MARKS, recommenders.table()) == page
