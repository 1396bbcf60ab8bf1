"""Processes of --launch that are killed, stopped, hang or fail: one message, and an end in time."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import unittest

from ranks_case import RanksCase, setUpModule, tearDownModule


class Losses(RanksCase):
    def test_a_killed_rank_is_named_by_all_others(self):
        for ranks, victim in [(2, 0), (3, 1)]:
            output = f"killed_{ranks}"
            process, ids = self.start(output, ranks, 3)
            os.kill(ids[victim], signal.SIGKILL)
            _, message = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 128 + signal.SIGKILL, message)
            self.assertIn(f"rank {victim} was killed by signal 9", message)
            self.assertIn("log.txt" if victim == 0 else f"log.rank{victim}.txt", message)
            for rank in set(range(ranks)) - {victim}:
                self.assertRegex(self.log(output, rank), f"the other ranks, after .* s: rank {victim} of {ranks} is gone")

    def test_a_stopped_rank_is_named_when_the_time_is_over(self):
        runs = {victim: self.start(f"stopped_{victim}", 2, 3, "distributed.timeout_seconds=5") for victim in (1, 0)}
        for victim, (_, ids) in runs.items():
            os.kill(ids[victim], signal.SIGSTOP)
        for victim, (process, ids) in runs.items():
            _, message = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 1, message)
            self.assertRegex(self.log(f"stopped_{victim}", 1 - victim),
                             f"after 5.* s: rank {victim} of 2 hangs or is cut off")
            self.assertFalse(pathlib.Path(f"/proc/{ids[victim]}").exists())

    def test_an_error_of_one_rank_is_told_by_all(self):
        (self.folder / "run").mkdir()
        (self.folder / "run/letter.txt").write_text("dear")
        done = subprocess.run(self.command("run", 2), capture_output=True, text=True, timeout=60, env=self.environment)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("no run folder", done.stderr)
        self.assertNotIn("its log is", done.stderr)
        self.assertEqual([path.name for path in (self.folder / "run").iterdir()], ["letter.txt"])

    def test_sigterm_reaches_every_rank_once(self):
        process, _ = self.start("run", 2, 3)
        process.send_signal(signal.SIGTERM)
        _, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM, message)
        self.assertIn("--resume auto", message)
        self.assertEqual(len(list((self.folder / "run/checkpoints").glob("step_*"))), 1)

    def test_an_end_that_was_asked_for_is_no_failure(self):
        whole, _ = self.start("to_the_launcher", 2, 3)
        whole.send_signal(signal.SIGUSR1)
        whole.send_signal(signal.SIGTERM)
        one, ids = self.start("to_a_rank", 2, 3)
        os.kill(ids[1], signal.SIGTERM)
        late = subprocess.Popen(self.command("late", 2, "trainer.time_limit=1e-6"), stderr=subprocess.PIPE, text=True,
                                env=self.environment)
        for process, codes in [(whole, {128 + signal.SIGUSR1, 128 + signal.SIGTERM}), (one, {128 + signal.SIGTERM}), (late, {124})]:
            _, message = process.communicate(timeout=60)
            self.assertIn(process.returncode, codes, message)
            self.assertIn("--resume auto", message)
            self.assertNotIn("error", message)
            self.assertNotIn("ended first", message)

    def hang_at_its_end(self, rank):
        source, library = self.folder / "hang.c", self.folder / "hang.so"
        source.write_text(f'''#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((destructor)) static void hang(void) {{
  const char* rank = getenv("RANK");
  if (rank && !strcmp(rank, "{rank}")) pause();
}}
''')
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        self.environment["LD_PRELOAD"] = str(library)

    @unittest.skipUnless(shutil.which("cc"), "there is no C compiler")
    def test_a_rank_that_hangs_when_all_is_done_is_not_waited_for(self):
        self.hang_at_its_end(rank=1)
        done = subprocess.run(self.command("run", 2, "trainer.steps=2", "distributed.timeout_seconds=1"), timeout=60,
                              capture_output=True, text=True, env=self.environment)
        self.assertEqual(done.returncode, 128 + signal.SIGKILL, done.stderr)
        self.assertIn("rank 1 hung: it had not ended 6 s after rank 0 had", done.stderr)
        self.assertTrue((self.folder / "run/checkpoints/step_2").exists())

    @unittest.skipUnless(shutil.which("cc"), "there is no C compiler")
    def test_rank_0_is_not_waited_for_either_when_a_signal_has_ended_the_others(self):
        self.hang_at_its_end(rank=0)
        process, _ = self.start("run", 2, 3, "distributed.timeout_seconds=1")
        process.send_signal(signal.SIGTERM)
        _, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 128 + signal.SIGKILL, message)
        self.assertIn("rank 0 hung: it had not ended 6 s after rank 1 had", message)

    def test_a_rank_is_not_killed_by_a_connection_that_is_gone(self):
        process, ids = self.start("run", 2, 3)
        for number in ids:
            (ignored,) = re.findall(r"SigIgn:\s*(\w+)", pathlib.Path(f"/proc/{number}/status").read_text())
            self.assertTrue(int(ignored, 16) >> (signal.SIGPIPE - 1) & 1)
        process.terminate()
        process.communicate(timeout=60)

    def test_ranks_end_with_their_launcher(self):
        process, ids = self.start("run", 2, 3)
        process.kill()
        process.wait()
        self.until_gone(ids)
        self.assertEqual(len(list((self.folder / "run/checkpoints").glob("step_*"))), 1)


if __name__ == "__main__":
    unittest.main()
