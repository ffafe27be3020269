"""Recommend with several interests of each user, and compare with one interest and with the mean of the history.

The histories are synthetic, so that the true interests are known: each user clicks items of two or three of 40 topics.
Every network retrieves from the whole catalogue; a user's next item should be among the first 20.

Run it: python examples/multi_interest.py [--epochs 20] [--out docs/recommenders.json]
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from capsnet.functional import label_aware_attention
from capsnet.layers import MultiInterest
from capsnet.losses import draw_negatives, sampled_softmax_loss

TOPICS, ITEMS_OF_TOPIC, MOST_ITEMS = 40, 20, 24
ITEMS = TOPICS * ITEMS_OF_TOPIC
DIM, INTERESTS, FIRST, NEGATIVES = 8, 4, 20, 100


@dataclass
class Users:
    """Histories, padded; the next item of each user; and the user's topics as marks."""

    items: Tensor  # b i
    mask: Tensor  # b i
    next_item: Tensor  # b
    topics: Tensor  # b topic
    numbers: Tensor  # b


def draw_users(number: int, seed: int, first: int = 0) -> Users:
    """Users with two or three topics and 8 to 24 items of them, in any order."""
    random = torch.Generator().manual_seed(seed)
    order = torch.rand(number, TOPICS, generator=random).argsort(dim=1)
    counts = torch.randint(2, 4, (number, 1), generator=random)
    which = (torch.rand(number, MOST_ITEMS + 1, generator=random) * counts).long()
    topics = order.gather(1, which)
    items = topics * ITEMS_OF_TOPIC + torch.randint(ITEMS_OF_TOPIC, topics.shape, generator=random)
    lengths = torch.randint(8, MOST_ITEMS + 1, (number, 1), generator=random)
    mask = torch.arange(MOST_ITEMS) < lengths
    marks = torch.zeros(number, TOPICS, dtype=torch.bool).scatter(1, topics, value=True)
    return Users(items[:, :-1] * mask, mask, items[:, -1], marks, torch.arange(first, first + number))


class Recommender(nn.Module):
    """Embeddings of items, and an extractor of interests; None: the mean of the history."""

    def __init__(self, extractor: str | None, interests: int = INTERESTS) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS, DIM)
        nn.init.normal_(self.items.weight, std=0.5)
        self.extract = None
        if extractor is not None:
            # ComiRec's two extractors learn of each position
            self.extract = MultiInterest(DIM, interests, extractor=extractor, max_items=MOST_ITEMS, gradient="last")
        self.scale = nn.Parameter(torch.tensor(8.0))  # lengths of capsules are below 1

    def forward(self, users: Users) -> tuple[Tensor, Tensor]:
        """Interests `b j d`, and which of them a user has, `b j`."""
        items = self.items(users.items)
        if self.extract is None:
            mean = (items * users.mask[..., None]).sum(dim=1) / users.mask.sum(dim=1, keepdim=True)
            return self.scale * mean[:, None], users.mask[:, :1]
        out = self.extract(items, users.mask, users=users.numbers)
        return self.scale * out.poses, out.mask


def train(network: Recommender, users: Users, epochs: int, seed: int) -> None:
    """Learn the next item by sampled softmax, with the interest that fits it best."""
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(epochs):
        for rows in torch.randperm(len(users.items), generator=random).split(100):
            batch = Users(*(values[rows] for values in vars(users).values()))
            interests, mask = network(batch)
            clicked = network.items(batch.next_item)
            user = label_aware_attention(interests, clicked, math.inf, mask=mask)
            negatives = draw_negatives(NEGATIVES, ITEMS, random)
            loss = sampled_softmax_loss(user, network.items.weight, batch.next_item, negatives)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@torch.no_grad()
def evaluate(network: Recommender, users: Users) -> dict[str, float]:
    """Recall of the next item among the first 20, and the share of a user's topics among these."""
    interests, mask = network(users)
    scores = (interests @ network.items.weight.T).masked_fill(~mask[..., None], -math.inf).amax(dim=1)  # b item
    first = scores.topk(FIRST).indices
    topics = torch.zeros_like(users.topics).scatter(1, first // ITEMS_OF_TOPIC, value=True)
    covered = (topics & users.topics).sum(dim=1) / users.topics.sum(dim=1)
    recall = (first == users.next_item[:, None]).any(dim=1).float().mean()
    return {"recall": float(recall), "topics": float(covered.mean())}


NETWORKS = {
    f"behaviour-to-interest routing, {INTERESTS} interests": ("behaviour-to-interest", INTERESTS),
    f"dynamic routing (ComiRec-DR), {INTERESTS} interests": ("dynamic", INTERESTS),
    f"self-attention (ComiRec-SA), {INTERESTS} interests": ("self-attention", INTERESTS),
    "behaviour-to-interest routing, 1 interest": ("behaviour-to-interest", 1),
    "mean of the history": (None, 1),
}


def main(epochs: int = 20, users: int = 5000, seeds: int = 3, out: Path | None = None) -> dict[str, list[float]]:
    """Train each network with each seed, print recall, and return it by network and seed."""
    rows: dict[str, list[dict[str, float]]] = {}
    parameters = {}
    for name, (extractor, interests) in NETWORKS.items():
        rows[name] = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            network = Recommender(extractor, interests)
            parameters[name] = sum(parameter.numel() for parameter in network.parameters())
            train(network, draw_users(users, seed), epochs, seed)
            rows[name].append(evaluate(network, draw_users(1000, seed + 1000, first=users)))
        recall, topics = (", ".join(f"{row[key]:.3f}" for row in rows[name]) for key in ("recall", "topics"))
        print(f"{name}: recall@{FIRST} {recall}; share of topics {topics}")
    if out is not None:
        setting = {"epochs": epochs, "users": users, "topics": TOPICS, "items": ITEMS, "dim": DIM, "first": FIRST}
        setting |= {"interests": INTERESTS, "negatives": NEGATIVES, "seeds": seeds, "torch": torch.__version__}
        out.write_text(json.dumps({"setting": setting, "parameters": parameters, "networks": rows}, indent=1) + "\n")
    return {name: [row["recall"] for row in values] for name, values in rows.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    main(**vars(parser.parse_args()))
