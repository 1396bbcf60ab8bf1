"""Disks that are full or slow, damaged checkpoints, and run folders that are taken away: nothing is half-written, and a
restart repeats the uninterrupted run."""
import os
import resource
import shutil
import signal
import subprocess
import time
import unittest

from faults_case import Case, Processes, setUpModule, tearDownModule


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
        self.assertSameRun(self.whole.output, self.output)

    def test_nor_does_one_that_is_full_in_the_middle_of_a_checkpoint(self):
        whole = self.whole.output / "checkpoints/step_80"
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
                self.assertSameRun(self.whole.output, self.output)
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
        self.assertSameRun(self.whole.output, self.output)

    def test_a_run_folder_that_is_renamed_or_removed_ends_the_run_and_is_not_made_again(self):
        moved = self.base / "moved"
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
        shutil.copytree(self.whole.output, self.output, symlinks=True)
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
        self.assertSameRun(self.whole.output, self.output)


    def test_a_kill_between_the_best_checkpoint_and_what_points_at_it_is_mended(self):
        shutil.copytree(self.whole.output, self.output, symlinks=True)
        pointers = [output / "checkpoints/best" for output in (self.whole.output, self.output)]
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
        library = self.base / "slow_disk.so"
        (self.base / "slow_disk.c").write_text(SLOW_DISK)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, self.base / "slow_disk.c", "-ldl"], check=True)
        processes = Processes(2, output, *self.SHORT, *arguments,
                              extra={"LD_PRELOAD": str(library), "SLOW_FILES": files, "SLOW_SECONDS": "9"})
        self.addCleanup(processes.end)
        return processes

    def test_the_other_processes_wait_longer_than_their_timeout(self):
        short = ["--set", "distributed.timeout_seconds=5"]
        first = "/checkpoints/step_2.writing/optimizer.safetensors"
        background = self.start_slowly(self.base / "slow_background", first, *short)
        foreground = self.start_slowly(self.base / "slow_foreground", first, *short, *self.IN_FOREGROUND)
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


if __name__ == "__main__":
    unittest.main()
