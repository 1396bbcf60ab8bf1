"""What clusters do to a run: processes that die or hang, stop signals, deadlines, and another number of processes. Each
time every process must end, or go on, with a clear message, and a restart must repeat the uninterrupted run."""
import json
import shutil
import signal
import time
import unittest

from faults_case import Case, Processes, setUpModule, tearDownModule


class ProcessesDie(Case):
    def test_whichever_is_killed_the_others_say_so_and_the_run_goes_on_exactly(self):
        for step, victims, survivors in [(12, [1], [0]), (30, [0], [1]), (50, [0, 1], [])]:
            processes = self.start(2, "--resume", "auto")
            processes.until_step(step)
            processes.send(signal.SIGKILL, *victims)
            self.assertClear(processes, *survivors)
        # A process that does not see rank 0's folder goes on from the same step all the same.
        self.start(2, "--resume", "auto", other_output=self.base / "elsewhere").must_finish()
        self.assertSameRun(self.whole.output, self.output)

    def test_a_process_that_hangs_is_given_up(self):
        for step, victim, survivor in [(12, 1, 0), (40, 0, 1)]:
            processes = self.start(2, "--resume", "auto", "--set", "distributed.timeout_seconds=6")
            processes.until_step(step)
            processes.send(signal.SIGSTOP, victim)
            self.assertClear(processes, survivor)
            self.assertRegex(processes.said(survivor), f"rank {victim}")
            processes.end()
        self.start(2, "--resume", "auto").must_finish()
        self.assertSameRun(self.whole.output, self.output)

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
        self.assertSameRun(self.whole.output, self.output)

    def test_a_measurement_that_fails_on_one_costs_no_step(self):
        for victim in range(2):
            with self.subTest(victim=victim):
                shutil.rmtree(self.output, ignore_errors=True)
                # The same paths, and behind one of them damaged samples, which is noticed when they are read.
                places = [self.base / f"victim_{victim}_place_{rank}" for rank in range(2)]
                for rank, place in enumerate(places):
                    shutil.copytree(self.base / "world/gallery", place / "validation")
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
                self.assertSameRun(self.whole.output, self.output)

    def test_a_refusal_of_rank_0_is_everybodys(self):
        processes = Processes(2, self.whole.output)
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
        self.assertSameRun(self.whole.output, self.output)

    def test_at_the_deadline_the_last_complete_checkpoint_stands(self):
        processes = self.start(2, "--set", "trainer.stop_deadline_seconds=0.3")
        processes.until_step(12)
        processes.send(signal.SIGSTOP, 1)  # the step in flight will not end
        processes.send(signal.SIGTERM, 0)
        self.assertEqual(processes.codes(0), [128 + signal.SIGTERM], processes.all_said())
        self.assertRegex(processes.said(0), r"trainer.stop_deadline_seconds.*checkpoints/step_\d+.*--resume auto")
        processes.end()
        self.start(2, "--resume", "auto").must_finish()
        self.assertSameRun(self.whole.output, self.output)


class OtherProcesses(Case):
    PLAIN = ["--set", "model.dropout=0", "--set", "model.attention_dropout=0", "--set", "trainer.steps=30"]

    def test_a_run_goes_on_with_more_and_with_fewer(self):
        alone = Processes(1, self.base / "alone", *self.PLAIN, "--set", "loader.batch_size=8")
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
        for ours, theirs in zip(self.metrics(self.output), self.metrics(self.base / "alone"), strict=True):
            for key, value in theirs.items():
                self.assertAlmostEqual(ours[key], value, delta=1e-4 * max(1, abs(value)), msg=f"{key} of {theirs}") \
                    if isinstance(value, float) else self.assertEqual(ours.keys(), theirs.keys())

    def test_another_number_that_would_change_the_batches_is_refused(self):
        shutil.copytree(self.whole.output, self.output, symlinks=True)
        processes = self.start(1, "--resume", "auto")
        self.assertEqual(processes.codes(), [1])
        self.assertRegex(processes.said(0), r"loader.batch_size is 4 on each of 1 .*written by 2 .*allowed: loader.batch_size = 8")


if __name__ == "__main__":
    unittest.main()
