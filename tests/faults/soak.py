"""Hours of work, and whether memory stays flat: `make soak`, and `make load` for the page alone.

Three processes as a person starts them: training, prediction of 100,000 images, and the page under 10,000 requests of
eight clients, hostile ones among them. The memory that counts is `RssAnon` of Linux: what the process itself holds.
"""

import argparse
import http.client
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

_CLIENTS = 8
_MB = 1024.0
# memory is flat where it rises by less from the second quarter of the time to the last
_FLAT_SHARE, _FLAT_MB = 0.05, 16.0
PREDICT = """
import sys, torch, capsnet
from capsnet.inference import predict
model = capsnet.load("efficient-capsnet-mnist")
images = torch.randint(0, 256, (500, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
for count in range(0, int(sys.argv[1]), len(images)):
    predictions = capsnet.predict(model, images)
    assert len(predictions) == len(images)
    print(count + len(images), flush=True)
"""


class Memory:
    """Samples of a process's memory, taken by a thread until `stop`."""

    def __init__(self, process: int) -> None:
        self.samples: list[tuple[float, float]] = []
        self._process, self._ended, self._start = process, threading.Event(), time.monotonic()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def _sample(self) -> None:
        while not self._ended.wait(0.5):
            try:
                text = Path(f"/proc/{self._process}/status").read_text()
            except OSError:
                return
            match = re.search(r"RssAnon:\s+(\d+) kB", text)
            if match:
                self.samples.append((time.monotonic() - self._start, int(match[1]) / _MB))

    def stop(self) -> dict[str, object]:
        """What was measured, in megabytes and seconds."""
        self._ended.set()
        self._thread.join()
        if len(self.samples) < 8:
            return {"samples": len(self.samples), "flat": None}
        quarter = len(self.samples) // 4
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        before, after = (statistics.median(mb for _, mb in part) for part in (early, late))
        rest = self.samples[quarter:]
        slope = statistics.linear_regression([second for second, _ in rest], [mb for _, mb in rest]).slope
        return {
            "samples": len(self.samples),
            "seconds": round(self.samples[-1][0]),
            "second_quarter_mb": round(before, 1),
            "last_quarter_mb": round(after, 1),
            "highest_mb": round(max(mb for _, mb in self.samples), 1),
            "slope_mb_per_hour": round(3600 * slope, 1),
            "flat": after - before < max(_FLAT_MB, _FLAT_SHARE * before),
        }


def train(folder: Path, seconds: float) -> dict[str, object]:
    """Train the quick start's network until the time is up, then stop it politely."""
    words = ["train", "quickstart", "--epochs", "100000", "--device", "cpu", "--out", str(folder / "run")]
    with (folder / "train.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "capsnet", *words], stdout=log, stderr=log)
        memory = Memory(process.pid)
        time.sleep(seconds)
        process.send_signal(signal.SIGTERM)
        start = time.monotonic()
        status = process.wait(120)
    rows = (folder / "run" / "metrics.csv").read_text().splitlines()
    steps = int(float(rows[-1].split(",")[0]))
    return {**memory.stop(), "steps": steps, "saved_in_seconds": round(time.monotonic() - start, 1), "status": status}


def predict(folder: Path, count: int) -> dict[str, object]:
    """Predict images of a bundled network."""
    with (folder / "predict.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", PREDICT, str(count)], stdout=log, stderr=log)
        memory = Memory(process.pid)
        status = process.wait()
    done = int((folder / "predict.log").read_text().split()[-1]) if status == 0 else 0
    return {**memory.stop(), "predictions": done, "status": status}


def page(folder: Path, count: int) -> dict[str, object]:
    """Serve the page, and let clients ask."""
    (folder / "page").mkdir()
    command = [
        sys.executable,
        "-m",
        "capsnet",
        "demo",
        "efficient-capsnet-mnist",
        "--no-browser",
        "--port",
        _free_port(),
    ]
    with (folder / "page.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder / "page", stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        memory = Memory(process.pid)
        try:
            answers = ask_all(address, count)
        finally:
            record = memory.stop()
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            process.stdout.close()
    return {**record, **answers, "tracebacks": (folder / "page.log").read_text().count("Traceback")}


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def requests(model: str) -> list[tuple[str, str, str, bytes | None, dict[str, str], tuple[int, ...]]]:
    """Kind, method, path, body, headers and the statuses that are right."""
    image, content = Image.new("L", (300, 200), 255), BytesIO()
    ImageDraw.Draw(image).line([(150, 40), (150, 160)], fill=0, width=16)
    image.save(content, "PNG")
    look = f"/look?model={model}&name=a.png"
    drawn = json.dumps({"model": model, "label": 3, "pose": [0.1] * 16}).encode()
    photo = content.getvalue()
    return [
        ("page", "GET", "/", None, {}, (200,)),
        ("script", "GET", "/page.js", None, {}, (200,)),
        ("setup", "GET", "/setup", None, {}, (200,)),
        ("look", "POST", look, photo, {}, (200,)),
        ("redraw", "POST", "/redraw", drawn, {}, (200,)),
        ("damaged image", "POST", look, photo[: len(photo) // 2], {}, (200, 400)),
        ("no image", "POST", look, b"\0" * 5000, {}, (400,)),
        ("deep JSON", "POST", "/redraw", b"[" * 100_000, {}, (400,)),
        ("not finite", "POST", "/redraw", drawn.replace(b"0.1", b"1e999"), {}, (400,)),
        ("too large", "POST", "/redraw", bytes(1_000_001), {}, (413,)),
        ("another host", "GET", "/setup", None, {"Host": "evil.example"}, (403,)),
        ("another site", "POST", look, photo, {"Origin": "http://evil.example"}, (403,)),
        ("another path", "GET", "/etc/passwd", None, {}, (403, 404)),
        ("path upwards", "GET", "/../../etc/passwd", None, {}, (403, 404)),
    ]


def ask_all(address: str, count: int) -> dict[str, object]:
    """Ask from eight threads, each with connections of its own."""
    server = address.split("/")[2]
    connection = http.client.HTTPConnection(server, timeout=60)
    connection.request("GET", "/setup", headers={"Host": server})
    kinds = requests(json.loads(connection.getresponse().read())["models"][0])
    connection.close()
    answered: Counter[str] = Counter()
    wrong: list[str] = []
    slowest = [0.0]

    def work(number: int) -> None:
        draw = random.Random(number)
        for _ in range(count // _CLIENTS):
            kind, method, path, body, headers, statuses = draw.choice(kinds)
            start = time.monotonic()
            try:
                if draw.random() < 0.02:
                    _break_off(server)
                asked = http.client.HTTPConnection(server, timeout=120)
                asked.request(method, path, body, headers={"Host": server, **headers})
                status = asked.getresponse().status
                asked.close()
            except OSError as fault:
                wrong.append(f"{kind}: {fault}")
                continue
            slowest[0] = max(slowest[0], time.monotonic() - start)
            answered[kind] += 1
            if status not in statuses:
                wrong.append(f"{kind}: status {status}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = count // _CLIENTS * _CLIENTS
    return {
        "requests": asked,
        "clients": _CLIENTS,
        "answered": answered.total(),
        "wrong": wrong[:20],
        "lost": asked - answered.total(),
        "slowest_seconds": round(slowest[0], 2),
        "kinds": dict(answered),
    }


def _break_off(server: str) -> None:
    """Begin a request, and leave."""
    host, port = server.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"POST /redraw HTTP/1.1\r\nHost: {server}\r\nContent-Length: 1000\r\n\r\nabc"
        connection.sendall(head.encode())


def main() -> int:
    """The three parts as a command; exit status 1 where memory rises or anything is lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("CAPSNET_SOAK_SECONDS", "7200")))
    parser.add_argument("--predictions", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--only", choices=("train", "predict", "page"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    from capsnet.training.device import find_commit, find_processor

    parts: dict[str, Callable[[Path], dict[str, object]]] = {
        "train": lambda folder: train(folder, options.seconds),
        "predict": lambda folder: predict(folder, options.predictions),
        "page": lambda folder: page(folder, options.requests),
    }
    # of each part one record for each call: memory is flat within a process, so times of several do not add up
    record: dict[str, list[object]] = json.loads(options.out.read_text()) if options.out.exists() else {}
    good = True
    for name, part in parts.items():
        if options.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory(prefix="capsnet-soak-") as folder:
            result = part(Path(folder))
        machine = f"{find_processor()}, {os.cpu_count()} cores"
        today = time.strftime("%Y-%m-%d", time.gmtime())
        record.setdefault(name, []).append({**result, "machine": machine, "commit": find_commit(), "date": today})
        good = good and result["flat"] is not False and not result.get("wrong") and not result.get("lost")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n")
        print(f"{name}: {json.dumps(result)}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
