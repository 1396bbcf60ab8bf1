"""Of benchmarks/chaos: one case, an undisturbed run and the same run under faults."""
import array
import collections
import contextlib
import json
import math
import random
import re
import shutil
import signal
import time

from chaos_processes import Attempt, Disk, lives

PATIENCE = 5  # distributed.timeout_seconds where a rank hangs or never comes; else four times as much
SLACK = 40  # s beyond that, for a machine with other work
CLOCK = ("samples_per_second", "tflops", "mfu", "memory_megabytes")

ENDING = {"kill a rank": signal.SIGKILL, "kill rank 0": signal.SIGKILL, "kill all ranks": signal.SIGKILL,
          "kill the launcher": signal.SIGKILL, "SIGTERM to a rank": signal.SIGTERM, "SIGINT to a rank": signal.SIGINT,
          "SIGUSR1 to all ranks": signal.SIGUSR1, "SIGTERM to the launcher": signal.SIGTERM,
          "SIGINT to the launcher": signal.SIGINT, "hang": signal.SIGSTOP, "full disk": 0}
PASSING = ["a moment's pause", "full disk for a while"]
DAMAGES = ["file cut short", "bit flipped", "file removed", "state.json emptied", "half a line in metrics.jsonl"]
MOMENTS = ["start-up", "step", "step", "write", "validation"]


class Differs(Exception):
    """What a fault did to the run that it must not do."""


class Case:
    BATCH = 8  # pairs, of all ranks together

    def __init__(self, seed, campaign):
        self.seed, self.campaign, self.bin = seed, campaign, campaign.bin
        self.home = campaign.folder / f"case_{seed}"
        self.home.mkdir()
        draw = self.draw = random.Random(seed)
        self.ranks, self.launched = draw.choice(campaign.ranks), draw.random() < 0.5
        others = [ranks for ranks in campaign.ranks if ranks != self.ranks]
        self.regroups = bool(others) and draw.random() < 0.25
        self.steps = draw.randint(18, 30)
        self.settings = {
            "trainer.steps": self.steps, "trainer.accumulation": draw.choice([1, 1, 2]),
            "objective.contrastive": draw.choice([0, 1, 1]), "ema.decay": draw.choice([0, 0.9]),
            "trainer.log_interval": draw.choice([1, 1, 3]), "trainer.checkpoint_interval": draw.randint(2, 8),
            "trainer.checkpoint_in_background": draw.choice(["true", "true", "false"]),
            "trainer.keep_last": draw.randint(1, 3), "trainer.validation_interval": draw.randint(3, 9),
            "evaluation.interval": draw.randint(4, 12), "trainer.best_metric": draw.choice(["loss", "mAP@10"]),
            "trainer.precision": "float32" if self.regroups else draw.choice(["float32", "bfloat16"]),
            "distributed.compression": "none" if self.regroups else draw.choice(["none", "none", "bfloat16"]),
            "distributed.overlap": draw.choice(["true", "false"]), "loader.workers": draw.choice([0, 1, 2]),
            "loader.bucket_batches": draw.choice([1, 1, 3])}
        if draw.random() < 0.5:
            gallery, queries = (json.dumps([str(campaign.folder / "world" / name)]) for name in ("gallery", "queries"))
            self.settings |= {"evaluation.gallery": gallery, "evaluation.queries": queries}
        else:
            self.settings["trainer.best_metric"] = "loss"
        if self.settings["distributed.overlap"] == "true":
            self.settings["distributed.reducer"] = draw.choice(["capture", "capture", "c10d"])
        self.config = campaign.config
        self.disk = campaign.disk if draw.random() < 0.5 else None
        self.resumes, self.faults, self.lost_saves = 0, [], False

    def run(self):
        whole = Attempt(self, self.home / "whole", self.ranks, 4 * PATIENCE, "never")
        self.attempt = whole
        self.wait(whole, 600)
        if [process.returncode for process in whole.processes] != [0] * len(whole.processes):
            raise Differs("the undisturbed run failed")
        with open_folder(self) as folder:
            for _ in range(self.draw.randint(2, 4)):
                self.disturb(folder)
                if is_complete(folder, self.steps):
                    break
                if (folder / "checkpoints").exists() and self.draw.random() < 0.4:
                    self.damage(folder)
            self.attempt = self.start(folder, 4 * PATIENCE)
            self.wait(self.attempt, 600)
            self.check_end("none", [])
            if not is_complete(folder, self.steps):
                raise Differs("the last resumption did not complete the run")
            self.compare(whole.folder, folder)

    def start(self, folder, timeout):
        ranks = self.draw.choice(self.campaign.ranks) if self.regroups else self.ranks
        self.resumes += folder.exists()
        self.attempt = Attempt(self, folder, ranks, timeout, "auto")
        return self.attempt

    def wait(self, attempt, bound):
        """Returns after how many seconds all had ended."""
        begin = time.monotonic()
        while not attempt.is_over():
            if time.monotonic() > begin + bound:
                raise Differs(f"after {bound} s not every process has ended")
            time.sleep(0.005)
        return time.monotonic() - begin

    def disturb(self, folder):
        """A start, perhaps something that passes, and a fault that ends it."""
        draw = self.draw
        ending = draw.choice(list(ENDING))
        passing = draw.choice(PASSING) if draw.random() < 0.3 else None
        waits = ending == "hang" or "rank" in ending
        attempt = self.start(folder, PATIENCE if waits else 4 * PATIENCE)
        if not attempt.launched:
            ending = ending.replace("the launcher", "rank 0" if ending.startswith("kill") else "a rank")
        disk = Disk(self, attempt)
        try:
            if passing and self.until_moment(folder, draw.choice(MOMENTS[1:])):
                self.pass_by(passing, attempt, disk)
            if not self.until_moment(folder, draw.choice(MOMENTS)):
                return self.check_end("none" if not passing else passing, [])
            self.faults.append(ending)
            victims = self.strike(ending, attempt, disk)
            survivors = attempt.ranks - len(victims)
            seconds = self.wait_after(ending, attempt, victims, attempt.timeout + SLACK)
        finally:
            disk.free()
        late = attempt.timeout if ending == "hang" and survivors else 0
        self.campaign.note(ending, seconds - late)
        self.check_end(ending, victims)

    def until_moment(self, folder, moment):
        """Whether it came before the run was over."""
        draw = self.draw
        delay, later = draw.random() * 2, draw.random() * 0.02
        step = draw.randint(1, self.steps - 1)
        begin = time.monotonic()
        while not self.attempt.is_over():
            lines = read_lines(folder / "metrics.jsonl")
            last = json.loads(lines[-1]) if lines else {"step": 0}
            due = last["step"] % self.settings["trainer.validation_interval"] == 0 and "loss" in last
            if (moment == "start-up" and time.monotonic() > begin + delay or moment == "step" and last["step"] >= step or
                    moment == "write" and list(folder.glob("checkpoints/*.writing")) or moment == "validation" and due):
                time.sleep(later if moment != "write" else later / 10)
                return not self.attempt.is_over()
            if time.monotonic() > begin + 600:
                raise Differs("the run stands still")
            time.sleep(0.001)
        return False

    def pass_by(self, kind, attempt, disk):
        self.faults.append(kind)
        if kind == "full disk for a while":
            disk.fill()
            begin = time.monotonic()
            while time.monotonic() < begin + 20 and "no checkpoint of step" not in attempt.said() and not attempt.is_over():
                time.sleep(0.01)
            return disk.free()
        attempt.wait_for_ranks()
        if attempt.pids:
            victim = self.draw.choice(list(attempt.pids.values()))
            attempt.send(signal.SIGSTOP, victim)
            time.sleep(self.draw.uniform(0.05, PATIENCE / 2))
            attempt.send(signal.SIGCONT, victim)

    def strike(self, kind, attempt, disk):
        """The ranks that it hit."""
        if kind == "full disk":
            disk.fill()
            return []
        attempt.wait_for_ranks()
        if "launcher" in kind:
            attempt.send(ENDING[kind], attempt.processes[0].pid)
            return []
        ranks = list(attempt.pids)
        if not ranks:  # over already
            return []
        victims = ranks if "all" in kind else [0] if "rank 0" in kind else [self.draw.choice(ranks)]
        attempt.send(ENDING[kind], *[attempt.pids[rank] for rank in victims])
        return victims

    def wait_after(self, kind, attempt, victims, bound):
        if kind != "hang" or attempt.launched:
            return self.wait(attempt, 600 if kind == "full disk" else bound)
        # Nobody but the one that started them can end ranks that stand still; what wakes up late must end by itself.
        begin = time.monotonic()
        others = [pid for rank, pid in attempt.pids.items() if rank not in victims]
        while any(map(lives, others)):
            if time.monotonic() > begin + bound:
                raise Differs(f"{bound} s after rank {victims[0]} stopped, others still wait for it")
            time.sleep(0.005)
        seconds = time.monotonic() - begin
        attempt.send(signal.SIGCONT if self.draw.random() < 0.5 else signal.SIGKILL, *[attempt.pids[rank] for rank in victims])
        self.wait(attempt, bound)
        return seconds

    def check_end(self, kind, victims):
        """Exit codes and what was said."""
        attempt, sent = self.attempt, ENDING.get(kind, 0)
        self.lost_saves |= "no checkpoint of step" in attempt.said()
        codes = [process.wait() for process in attempt.processes]
        for index, (code, text) in enumerate(zip(codes, attempt.texts)):
            hit = attempt.launched or index in victims or not victims
            allowed = {0} if kind in ("none", "a moment's pause") else {0, 1, *({128 + sent} if sent else {})}
            if hit and sent:
                allowed |= {-sent, -signal.SIGKILL} if kind == "hang" else {-sent}
            if kind == "hang" and attempt.launched:
                allowed |= {128 + signal.SIGKILL}
            text = text.decode(errors="replace")
            said = collections.Counter(re.findall(r"^(capture_train[^:\n]*): ", text, re.MULTILINE))
            other = [line for line in text.splitlines() if not re.match(r"\d\d:\d\d:\d\d (info|warning|error) |capture_train", line)]
            if code not in allowed:
                raise Differs(f"after “{kind}” the exit code of process {index} is {code}, allowed: {sorted(allowed)}")
            if other or any(count > 1 for count in said.values()) or (code == 1) != bool(said) and not attempt.launched:
                raise Differs(f"after “{kind}” process {index} (exit code {code}) does not say one clear sentence")

    def damage(self, folder):
        steps = sorted((path for path in (folder / "checkpoints").iterdir() if re.fullmatch(r"step_\d+", path.name)),
                       key=lambda path: int(path.name[5:]))
        kind = self.draw.choice(DAMAGES)
        if len(steps) < 2 and kind != DAMAGES[-1]:  # a run whose only checkpoint is damaged asks somebody what to do
            return
        newest = steps[-1] if steps else None
        self.faults.append(kind)
        if kind == "half a line in metrics.jsonl":
            with open(folder / "metrics.jsonl", "a") as file:
                file.write('{"step":99,"epo')
            return
        path = newest / "state.json" if kind == "state.json emptied" else self.draw.choice(sorted(newest.iterdir()))
        data = bytearray(path.read_bytes())
        if kind == "file removed":
            return path.unlink()
        if kind == "bit flipped":
            data[self.draw.randrange(len(data))] ^= 1 << self.draw.randrange(8)
        path.write_bytes(data if kind == "bit flipped" else data[:0 if "state" in kind else self.draw.randrange(len(data))])

    def compare(self, whole, folder):
        left = [str(path.relative_to(folder)) for path in folder.rglob("*") if not re.fullmatch(
            r"config\.resolved\.json|vocab\.txt|log(\.rank\d)?\.txt|metrics\.jsonl|events\.out\.tfevents\.[\w.-]+\d|checkpoints"
            r"|checkpoints/(best|step_\d+(\.damaged)?(/(model|optimizer|average)\.safetensors|/state\.json)?)", str(path.relative_to(folder)))]
        if left:
            raise Differs(f"left over: {left}")
        one, other = ([without(json.loads(line), CLOCK) for line in read_lines(path / "metrics.jsonl")] for path in (whole, folder))
        if self.regroups:
            return self.compare_numbers(whole, folder, one, other)
        if one != other:
            raise Differs("metrics.jsonl differs")
        names = [f"step_{self.steps}"] + ([] if self.lost_saves else ["best"])
        for name in names:
            ours, theirs = (path / "checkpoints" / name for path in (whole, folder))
            if ours.resolve().name != theirs.resolve().name:
                raise Differs(f"checkpoints/{name} is {theirs.resolve().name} instead of {ours.resolve().name}")
            for path in ours.glob("*"):
                if path.name != "state.json" and path.read_bytes() != (theirs / path.name).read_bytes():
                    raise Differs(f"checkpoints/{name}/{path.name} differs")
            states = [without(json.loads((path / "state.json").read_text())["state"], ("config",)) for path in (ours, theirs)]
            if states[0] != states[1]:
                raise Differs(f"checkpoints/{name}/state.json differs")

    def compare_numbers(self, whole, folder, one, other):
        if [line.keys() | {line["step"]} for line in one] != [line.keys() | {line["step"]} for line in other]:
            raise Differs("metrics.jsonl has other lines")
        for ours, theirs in ((line["loss"], again["loss"]) for line, again in zip(one, other) if "loss" in line):
            if abs(ours - theirs) > 1e-5 * abs(ours):
                raise Differs(f"a loss is {theirs} instead of {ours}")
        for path in (whole / "checkpoints" / f"step_{self.steps}").glob("[am]*.safetensors"):
            ours, theirs = numbers_of(path), numbers_of(folder / path.relative_to(whole))
            apart = math.dist(ours, theirs) / math.hypot(*ours)
            if apart > 1e-6:
                raise Differs(f"{path.name} is {apart:.1e} of its norm away")


def without(line, keys):
    return {key: value for key, value in line.items() if key not in keys}


def numbers_of(path):
    data = path.read_bytes()
    return array.array("f", data[8 + int.from_bytes(data[:8], "little"):])


def read_lines(path):
    """Those that are whole."""
    try:
        return path.read_text().split("\n")[:-1]
    except OSError:
        return []


def is_complete(folder, steps):
    return (folder / "checkpoints" / f"step_{steps}" / "state.json").exists()


@contextlib.contextmanager
def open_folder(case):
    """Where the disturbed run writes."""
    folder = (case.disk or case.home) / "run"
    try:
        yield folder
    finally:
        if case.disk and folder.exists():
            shutil.copytree(folder, case.home / "run", symlinks=True, ignore_dangling_symlinks=True)
            shutil.rmtree(folder)
