"""What clusters do to a run: processes that die or hang, stop signals, deadlines, full disks, damaged checkpoints, and
another number of processes. Each time every process must end, or go on, with a clear message, and a restart must repeat
the uninterrupted run."""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from small_model import small_config

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
WORLD = {"train": 64, "gallery": 8, "queries": 4, "products": 4, "regions": 6, "feature-width": 16,
         "vocabulary-size": 200, "seed": 7}
PATIENCE = 120  # seconds after which a process that should have ended counts as hung


def setUpModule():
    global BASE, WHOLE
    BASE = pathlib.Path(tempfile.mkdtemp(prefix="capture_faults_"))
    subprocess.run([BIN / "capture_data", "synth", "--output", BASE / "world",
                    *[str(text) for name, value in WORLD.items() for text in (f"--{name}", value)]],
                   check=True, capture_output=True, timeout=PATIENCE)
    config = small_config(log_interval=1)
    config["model"]["initializer_range"] = 0.1
    config["tokenizer"] = {"type": "wordpiece", "file": str(BASE / "world/vocab.txt")}
    config["data"] = {"train": [str(BASE / "world/train")], "validation": [str(BASE / "world/gallery")]}
    config["loader"] = {"batch_size": 4, "workers": 1, "max_tokens": 16}
    config["trainer"].update(steps=80, checkpoint_interval=5, validation_interval=16)
    (BASE / "config.json").write_text(json.dumps(config))
    WHOLE = Processes(2, BASE / "whole")
    WHOLE.must_finish()
    WHOLE.end()


def tearDownModule():
    shutil.rmtree(BASE)


class Processes:
    """A run of capture_train on several processes, which find each other as torchrun's do."""

    def __init__(self, count, output, *arguments, other_output=None, extra={}, places=None):
        self.output = output
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.processes = []
        self.lines = []  # of each process's standard error, which a thread of its own reads
        self.readers = []
        for rank in range(count):
            environment = {**os.environ, "OMP_NUM_THREADS": "1", **extra}
            if count > 1:
                environment.update(RANK=str(rank), WORLD_SIZE=str(count), LOCAL_RANK=str(rank),
                                   MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            folder = other_output if rank > 0 and other_output else output
            process = subprocess.Popen(
                [BIN / "capture_train", "--config", BASE / "config.json", "--output", folder, *map(str, arguments)],
                stderr=subprocess.PIPE, text=True, env=environment, cwd=places and places[rank])
            self.processes.append(process)
            self.lines.append([])
            self.readers.append(threading.Thread(target=self.read, args=[process.stderr, self.lines[-1]], daemon=True))
            self.readers[-1].start()

    @staticmethod
    def read(stream, lines):
        for line in stream:
            lines.append(line)

    def said(self, rank):
        return "".join(self.lines[rank])

    def all_said(self):
        return "\n".join(f"--- rank {rank}\n{self.said(rank)}" for rank in range(len(self.lines)))

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline or all(process.poll() is not None for process in self.processes):
                raise AssertionError("the run did not come that far\n" + self.all_said())
            time.sleep(0.002)

    def until_step(self, step):
        metrics = self.output / "metrics.jsonl"
        self.until(lambda: metrics.exists() and f'{{"step":{step},' in metrics.read_text())

    def send(self, number, *ranks):
        for rank in ranks:
            self.processes[rank].send_signal(number)

    def pause(self, rank):
        """Returns when the last of its threads stands still, which the signal alone does not wait for."""
        def stands(thread):
            try:
                return ") T " in (thread / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                return True  # it has ended

        self.send(signal.SIGSTOP, rank)
        threads = pathlib.Path(f"/proc/{self.processes[rank].pid}/task")
        self.until(lambda: all(stands(thread) for thread in threads.iterdir()))

    def codes(self, *ranks):
        """Of those processes, or of all, when they have ended."""
        codes = []
        for rank in ranks or range(len(self.processes)):
            codes.append(self.processes[rank].wait(timeout=PATIENCE))
            self.readers[rank].join()
        return codes

    def must_finish(self):
        if self.codes() != [0] * len(self.processes):
            raise AssertionError(self.all_said())

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        self.codes()
        for process in self.processes:
            process.stderr.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.output = BASE / self.id().split(".")[-1]

    def start(self, count=2, *arguments, **options):
        processes = Processes(count, self.output, *arguments, **options)
        self.addCleanup(processes.end)
        return processes

    def metrics(self, output):
        lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        for line in lines:
            for key in ["samples_per_second", "tflops", "mfu", "memory_megabytes"]:
                line.pop(key, None)
        return lines

    def assertSameRun(self, one, other):
        self.assertEqual(self.metrics(one), self.metrics(other))
        for name in ("model.safetensors", "optimizer.safetensors"):
            files = [output / "checkpoints/step_80" / name for output in (one, other)]
            self.assertEqual(files[0].read_bytes(), files[1].read_bytes(), name)

    def assertClear(self, processes, *ranks):
        """Exit code 1, and one sentence that says how to go on."""
        for rank in ranks:
            self.assertEqual(processes.codes(rank), [1], processes.all_said())
            sentences = [line for line in processes.said(rank).splitlines() if re.match(r"capture_train(, rank \d+)?: ", line)]
            self.assertEqual(len(sentences), 1, processes.all_said())
            self.assertIn("--resume auto", sentences[0])

    def steps(self):
        return sorted(int(path.name[5:]) for path in (self.output / "checkpoints").glob("step_*") if path.name[5:].isdigit())


class ProcessesDie(Case):
    def test_whichever_is_killed_the_others_say_so_and_the_run_goes_on_exactly(self):
        for step, victims, survivors in [(12, [1], [0]), (30, [0], [1]), (50, [0, 1], [])]:
            processes = self.start(2, "--resume", "auto")
            processes.until_step(step)
            processes.send(signal.SIGKILL, *victims)
            self.assertClear(processes, *survivors)
        # A process that does not see rank 0's folder goes on from the same step all the same.
        self.start(2, "--resume", "auto", other_output=BASE / "elsewhere").must_finish()
        self.assertSameRun(WHOLE.output, self.output)

    def test_a_process_that_hangs_is_given_up(self):
        for step, victim, survivor in [(12, 1, 0), (40, 0, 1)]:
            processes = self.start(2, "--resume", "auto", "--set", "distributed.timeout_seconds=6")
            processes.until_step(step)
            processes.send(signal.SIGSTOP, victim)
            self.assertClear(processes, survivor)
            self.assertRegex(processes.said(survivor), f"rank {victim}")
            processes.end()
        self.start(2, "--resume", "auto").must_finish()
        self.assertSameRun(WHOLE.output, self.output)

    def test_many_give_it_up_together_and_in_time(self):
        timeout = 12
        processes = self.start(4, "--set", f"distributed.timeout_seconds={timeout}", "--set", "loader.batch_size=2")
        processes.until_step(12)
        processes.send(signal.SIGSTOP, 2)
        stopped = time.monotonic()
        self.assertClear(processes, 0, 1, 3)
        self.assertLess(time.monotonic() - stopped, timeout + 30)
        for survivor in (0, 1, 3):
            self.assertRegex(processes.said(survivor), "rank 2 of 4 (hangs or is cut off|is gone, killed or crashed)")
        processes.end()
        self.start(2, "--resume", "auto").must_finish()

    def test_so_it_is_with_the_engine_of_c10d_whose_bits_are_the_same(self):
        engine = ["--resume", "auto", "--set", "distributed.reducer=c10d", "--set", "distributed.timeout_seconds=6"]
        for step, number, victim, survivor in [(12, signal.SIGKILL, 1, 0), (30, signal.SIGKILL, 0, 1), (50, signal.SIGSTOP, 1, 0)]:
            processes = self.start(2, *engine)
            processes.until_step(step)
            processes.send(number, victim)
            self.assertClear(processes, survivor)
            self.assertRegex(processes.said(survivor), f"rank {victim}")
            processes.end()
        self.start(2, *engine).must_finish()
        self.assertSameRun(WHOLE.output, self.output)

    def test_a_measurement_that_fails_on_one_costs_no_step(self):
        for victim in range(2):
            with self.subTest(victim=victim):
                shutil.rmtree(self.output, ignore_errors=True)
                # The same paths, and behind one of them damaged samples, which is noticed when they are read.
                places = [BASE / f"victim_{victim}_place_{rank}" for rank in range(2)]
                for rank, place in enumerate(places):
                    shutil.copytree(BASE / "world/gallery", place / "validation")
                    if rank == victim:
                        (shard,) = (place / "validation").glob("*.capshard")
                        data = bytearray(shard.read_bytes())
                        header = json.loads(data[32:32 + int.from_bytes(data[8:16], "little")])
                        for sample in range(header["samples"]):
                            at = header["records_at"] + sample * header["record_bytes"]
                            data[at + 28:at + 32] = (99).to_bytes(4, "little")  # its views
                        shard.write_bytes(data)
                processes = self.start(2, "--set", 'data.validation=["validation"]', "--set", "trainer.checkpoint_interval=100",
                                       places=places)
                self.assertEqual(processes.codes(), [1, 1], processes.all_said())
                self.assertIn(": claims 99 views", processes.said(victim))
                self.assertRegex(processes.said(1 - victim), f"rank {victim} of 2 ended: .*claims 99 views")
                self.assertEqual(self.steps(), [16])
                self.start(2, "--resume", "auto").must_finish()
                self.assertSameRun(WHOLE.output, self.output)

    def test_a_refusal_of_rank_0_is_everybodys(self):
        processes = Processes(2, WHOLE.output)
        self.addCleanup(processes.end)
        self.assertEqual(processes.codes(), [1, 1])
        for rank in (0, 1):
            self.assertIn("holds a run already", processes.said(rank))


class Stops(Case):
    def test_a_signal_to_one_or_to_all_leaves_a_checkpoint_of_the_last_step(self):
        for step, number, ranks in [(12, signal.SIGTERM, [1]), (30, signal.SIGUSR1, [0, 1]), (50, signal.SIGINT, [0])]:
            processes = self.start(2, "--resume", "auto")
            processes.until_step(step)
            processes.send(number, *ranks)
            processes.send(number, *ranks)  # launchers pass on what a process has received already
            self.assertEqual(processes.codes(), [128 + number] * 2, processes.all_said())
            self.assertIn("--resume auto", processes.said(0))
            self.assertEqual(self.steps()[-1], self.metrics(self.output)[-1]["step"])
        self.start(2, "--resume", "auto").must_finish()
        self.assertSameRun(WHOLE.output, self.output)

    def test_at_the_deadline_the_last_complete_checkpoint_stands(self):
        processes = self.start(2, "--set", "trainer.stop_deadline_seconds=0.3")
        processes.until_step(12)
        processes.send(signal.SIGSTOP, 1)  # the step in flight will not end
        processes.send(signal.SIGTERM, 0)
        self.assertEqual(processes.codes(0), [128 + signal.SIGTERM], processes.all_said())
        self.assertRegex(processes.said(0), r"trainer.stop_deadline_seconds.*checkpoints/step_\d+.*--resume auto")
        processes.end()
        self.start(2, "--resume", "auto").must_finish()
        self.assertSameRun(WHOLE.output, self.output)


class Disks(Case):
    def limit(self, processes, bytes_a_file):
        """A limit on the size of files stands for a full disk."""
        resource.prlimit(processes.processes[0].pid, resource.RLIMIT_FSIZE, (bytes_a_file, resource.RLIM_INFINITY))

    def test_a_disk_that_is_full_for_a_while_costs_nothing_but_the_checkpoints(self):
        processes = self.start()
        processes.until_step(12)
        self.limit(processes, 1)  # the metrics cannot grow either
        processes.until(lambda: processes.said(0).count("no checkpoint of step") >= 2)
        self.assertIn("training goes on", processes.said(0))
        self.assertEqual(processes.said(0).count("the log cannot be written"), 1)
        self.assertNotIn("[***", processes.said(0))
        self.limit(processes, resource.RLIM_INFINITY)
        processes.must_finish()
        self.assertSameRun(WHOLE.output, self.output)

    def test_nor_does_one_that_is_full_in_the_middle_of_a_checkpoint(self):
        whole = WHOLE.output / "checkpoints/step_80"
        sizes = [(whole / name).stat().st_size for name in ("model.safetensors", "optimizer.safetensors")]
        for way in ("true", "false"):
            with self.subTest(in_background=way):
                shutil.rmtree(self.output, ignore_errors=True)
                processes = self.start(2, "--set", f"trainer.checkpoint_in_background={way}")
                processes.until_step(12)
                self.limit(processes, sum(sizes) // 2)  # the first file fits, the second does not
                processes.until(lambda: processes.said(0).count("no checkpoint of step") >= 2)
                self.assertRegex(processes.said(0), "no checkpoint of step.*optimizer.safetensors")
                self.limit(processes, resource.RLIM_INFINITY)
                processes.must_finish()
                self.assertSameRun(WHOLE.output, self.output)
                self.assertEqual(list((self.output / "checkpoints").glob("*.writing")), [])

    def test_a_disk_that_stays_full_ends_the_run_with_what_was_there(self):
        processes = self.start()
        processes.until_step(12)
        self.limit(processes, 1)
        self.assertClear(processes, 0)
        self.assertLess(self.steps()[-1], 80)
        self.assertEqual(list((self.output / "checkpoints").glob("*.writing")), [])
        self.assertIn("--resume auto", processes.said(1))
        self.start(2, "--resume", "auto").must_finish()
        self.assertSameRun(WHOLE.output, self.output)

    def test_a_run_folder_that_is_renamed_or_removed_ends_the_run_and_is_not_made_again(self):
        moved = BASE / "moved"
        for count, change in [(1, "renamed"), (2, "renamed"), (1, "replaced"), (1, "removed")]:
            with self.subTest(change, count=count):
                processes = self.start(count, "--set", "trainer.steps=100000")
                processes.until_step(12)
                processes.pause(0)  # no checkpoint comes between the files that are removed
                shutil.rmtree(self.output) if change == "removed" else self.output.rename(moved)
                if change == "replaced":
                    self.output.mkdir()
                processes.send(signal.SIGCONT, 0)
                self.assertClear(processes, 0)
                word = "removed" if change == "removed" else f"renamed to {moved}"
                self.assertIn(f"{self.output}: the run folder was {word} while the run wrote into it", processes.said(0))
                if count > 1:
                    self.assertEqual(processes.codes(1), [1], processes.all_said())
                    self.assertIn(f"rank 0 of 2 ended: {self.output}: the run folder was renamed", processes.said(1))
                if change == "replaced":
                    self.output.rmdir()  # nothing is in it
                self.assertFalse(self.output.exists())
                if change != "removed":
                    moved.rename(self.output)
                    self.assertIn("the run folder was renamed", (self.output / "log.txt").read_text())
                    self.start(count, "--resume", "auto", "--set", f"trainer.steps={self.steps()[-1] + 1}").must_finish()
                    shutil.rmtree(self.output)

    def test_damaged_checkpoints_are_passed_over_by_name(self):
        shutil.copytree(WHOLE.output, self.output, symlinks=True)
        newest = self.output / "checkpoints/step_80/optimizer.safetensors"
        with open(newest, "r+b") as file:
            file.seek(newest.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        processes = self.start(2, "--resume", "auto")
        processes.must_finish()
        self.assertRegex(processes.said(0), r"step_80/optimizer.safetensors.*damaged.*trying the one before")
        self.assertIn("going on after step 75", (self.output / "log.rank1.txt").read_text())
        self.assertSameRun(WHOLE.output, self.output)


    def test_a_kill_between_the_best_checkpoint_and_what_points_at_it_is_mended(self):
        shutil.copytree(WHOLE.output, self.output, symlinks=True)
        pointers = [output / "checkpoints/best" for output in (WHOLE.output, self.output)]
        pointers[1].unlink()
        self.start(2, "--resume", "auto").must_finish()
        self.assertEqual(*map(os.readlink, pointers))


SLOW_DISK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int fsync(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = 0;
  if (strstr(path, getenv("SLOW_FILES"))) sleep(atoi(getenv("SLOW_SECONDS")));
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}
"""


@unittest.skipUnless(shutil.which("cc"), "there is no C compiler")
@unittest.skipIf(os.environ.get("CAPTURE_SANITIZE") == "ON", "AddressSanitizer wants to be loaded before the library")
class SlowDisks(Case):
    SHORT = ["--set", "trainer.steps=4", "--set", "trainer.checkpoint_interval=2"]
    IN_FOREGROUND = ["--set", "trainer.checkpoint_in_background=false"]

    def start_slowly(self, output, files, *arguments):
        """Syncing such files takes 9 seconds."""
        library = BASE / "slow_disk.so"
        (BASE / "slow_disk.c").write_text(SLOW_DISK)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, BASE / "slow_disk.c", "-ldl"], check=True)
        processes = Processes(2, output, *self.SHORT, *arguments,
                              extra={"LD_PRELOAD": str(library), "SLOW_FILES": files, "SLOW_SECONDS": "9"})
        self.addCleanup(processes.end)
        return processes

    def test_the_other_processes_wait_longer_than_their_timeout(self):
        short = ["--set", "distributed.timeout_seconds=5"]
        first = "/checkpoints/step_2.writing/optimizer.safetensors"
        background = self.start_slowly(BASE / "slow_background", first, *short)
        foreground = self.start_slowly(BASE / "slow_foreground", first, *short, *self.IN_FOREGROUND)
        checkpoint = foreground.output / "checkpoints/step_2"
        foreground.until(lambda: list(checkpoint.parent.glob("step_2.writing/optimizer*")))
        time.sleep(1)
        self.assertEqual(self.metrics(foreground.output)[-1]["step"], 2)  # the next step waits
        self.assertFalse(checkpoint.exists())
        for run in (background, foreground):
            with self.subTest(run.output.name):
                run.must_finish()
                self.assertTrue((run.output / "checkpoints/step_4").exists())
        self.assertIn("step 4: waiting for the checkpoint before to reach the disk", background.said(0))
        self.assertEqual(self.metrics(background.output), self.metrics(foreground.output))

    def test_no_step_waits_for_the_checkpoint_of_a_measurement_made_up_for(self):
        measured = ["--set", "trainer.validation_interval=1"]
        processes = self.start(2, *self.SHORT, *measured, "--set", "trainer.time_limit=1e-6")
        self.assertEqual(processes.codes(), [124, 124], processes.all_said())
        slow = self.start_slowly(self.output, "/checkpoints/step_1.writing/optimizer.safetensors", *measured, "--resume", "auto",
                                 "--set", "distributed.timeout_seconds=5")
        slow.must_finish()
        self.assertEqual([line["step"] for line in self.metrics(self.output) if "validation" in line], [1, 2, 3, 4])

    def test_a_deadline_does_not_wait_for_the_disk(self):
        processes = self.start_slowly(self.output, "/checkpoints/step_2.writing/optimizer", *self.IN_FOREGROUND, "--set",
                                      "trainer.stop_deadline_seconds=0.5")
        processes.until(lambda: list(self.output.glob("checkpoints/step_2.writing/optimizer*")))
        processes.send(signal.SIGTERM, 0, 1)
        self.assertEqual(processes.codes(), [128 + signal.SIGTERM] * 2, processes.all_said())
        for rank in (0, 1):
            self.assertIn("trainer.stop_deadline_seconds", processes.said(rank))
        self.assertEqual(self.steps(), [])


class OtherProcesses(Case):
    PLAIN = ["--set", "model.dropout=0", "--set", "model.attention_dropout=0", "--set", "trainer.steps=30"]

    def test_a_run_goes_on_with_more_and_with_fewer(self):
        alone = Processes(1, BASE / "alone", *self.PLAIN, "--set", "loader.batch_size=8")
        alone.must_finish()
        alone.end()
        for count, step in [(2, 6), (4, 16), (1, 0)]:
            size = ["--set", f"loader.batch_size={8 // count}"]
            processes = self.start(count, "--resume", "auto", *self.PLAIN, *size)
            if step > 0:
                processes.until_step(step)
                processes.send(signal.SIGTERM, 0)
                self.assertEqual(processes.codes(), [128 + signal.SIGTERM] * count, processes.all_said())
            else:
                processes.must_finish()
        self.assertIn("going on with 1 processes and batches of 8 instead of 4 and 2", processes.said(0))
        for ours, theirs in zip(self.metrics(self.output), self.metrics(BASE / "alone"), strict=True):
            for key, value in theirs.items():
                self.assertAlmostEqual(ours[key], value, delta=1e-4 * max(1, abs(value)), msg=f"{key} of {theirs}") \
                    if isinstance(value, float) else self.assertEqual(ours.keys(), theirs.keys())

    def test_another_number_that_would_change_the_batches_is_refused(self):
        shutil.copytree(WHOLE.output, self.output, symlinks=True)
        processes = self.start(1, "--resume", "auto")
        self.assertEqual(processes.codes(), [1])
        self.assertRegex(processes.said(0), r"loader.batch_size is 4 on each of 1 .*written by 2 .*allowed: loader.batch_size = 8")


if __name__ == "__main__":
    unittest.main()
