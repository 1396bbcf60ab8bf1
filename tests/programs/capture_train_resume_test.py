"""capture_train interrupted at any moment and resumed: the run goes on as if nothing had happened."""
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from train_case import TrainCase, setUpModule, tearDownModule  # noqa: F401: unittest calls the last two


class Interruptions(TrainCase):
    def test_killed_at_any_moment_it_repeats_the_uninterrupted_run(self):
        self.must_train("whole")
        for steps in [3, 10, 21, 33]:
            output = f"killed_{steps}"
            process = self.start_and_wait(output, steps)
            process.kill()
            process.communicate()
            self.must_train(output, "--resume", "auto")
            self.assertSameRun("whole", output)

    def test_killed_again_and_again(self):
        self.must_train("whole")
        draw = random.Random(5)
        for _ in range(6):
            process = subprocess.Popen(self.command("killed", "--resume", "auto"), stderr=subprocess.DEVNULL)
            time.sleep(draw.uniform(0.05, 1.5))
            process.kill()
            process.wait()
        self.must_train("killed", "--resume", "auto")
        self.assertSameRun("whole", "killed")

    def test_sigterm_ends_the_step_and_says_how_to_go_on(self):
        self.must_train("whole")
        for number in [signal.SIGTERM, signal.SIGINT]:
            output = f"stopped_{number}"
            process = self.start_and_wait(output, 12)
            process.send_signal(number)
            _, message = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 128 + number, message)
            self.assertIn("--resume auto", message)
            self.must_train(output, "--resume", "auto")
            self.assertSameRun("whole", output)

    def test_a_log_that_nobody_reads_any_more_ends_no_run(self):
        self.must_train("whole")
        process = self.start_and_wait("unread", 12)
        process.stderr.close()  # as when Ctrl-C ends `tee` too
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 128 + signal.SIGINT)
        self.must_train("unread", "--resume", "auto")
        self.assertSameRun("whole", "unread")

    def test_a_stop_leaves_the_validation_that_is_due_to_the_next_run(self):
        often = ["--set", "trainer.validation_interval=1"]
        self.must_train("whole", *often)
        for number in range(20):  # until one comes before a validation and not just after it
            stopped = f"stopped_{number}"
            process = self.start_and_wait(stopped, 12, *often)
            process.terminate()
            process.communicate(timeout=60)
            state = json.loads((self.weights(stopped).parent / "state.json").read_text())["state"]
            told = [line for line in self.lines(stopped) if line["step"] == state["step"] and "validation" in line]
            self.assertEqual(len(told), 0 if state["unmeasured"] else 1)
            if state["unmeasured"]:
                break
        self.assertTrue(state["unmeasured"])
        # A kill may fall between the validation and the checkpoint that knows of it.
        with open(self.folder / stopped / "metrics.jsonl", "a") as metrics:
            metrics.write(json.dumps({"step": state["step"], "validation": {}}, separators=(",", ":")) + "\n")
        self.must_train(stopped, "--resume", "auto", *often)
        self.assertSameRun("whole", stopped)

    def test_a_damaged_checkpoint_is_passed_over_by_name(self):
        self.must_train("whole")
        self.must_train("damaged", "--set", "trainer.keep_last=9")
        for step, name in [(36, "model.safetensors"), (35, "state.json")]:
            path = self.folder / f"damaged/checkpoints/step_{step}" / name
            path.write_bytes(path.read_bytes()[:-20])
        (self.folder / "damaged/checkpoints/step_99.writing").mkdir()
        done = self.must_train("damaged", "--resume", "auto")
        self.assertIn("step_36/model.safetensors", done.stderr)
        self.assertIn("step_35/state.json", done.stderr)
        self.assertSameRun("whole", "damaged")
        self.assertFalse((self.folder / "damaged/checkpoints/step_99.writing").exists())
        self.assertTrue((self.folder / "damaged/checkpoints/step_36.damaged/optimizer.safetensors").exists())
        self.assertIn("step_36.damaged, and stays", done.stderr)
        left = list((self.folder / "damaged/checkpoints").glob("step_*/optimizer.safetensors"))
        for path in left:
            path.write_bytes(path.read_bytes()[:-1])
        self.refused(self.train("damaged", "--resume", "auto"), "damaged: holds no checkpoint that is whole", "begin again")
        self.assertTrue(all(path.exists() for path in left))

    def test_a_checkpoint_that_may_be_whole_is_never_passed_over(self):
        self.must_train("run")
        checkpoints = self.folder / "run/checkpoints"
        shutil.copytree(checkpoints / "step_35", checkpoints / "step_99")
        before = sorted(checkpoints.rglob("*"))
        done = self.train("run", "--resume", "auto")
        self.refused(done, "step_99: holds the checkpoint of step 35; give it its name back, or remove ", "if it is not wanted")
        self.assertEqual(sorted(checkpoints.rglob("*")), before)

    def test_goes_on_from_a_checkpoint_of_another_folder(self):
        self.must_train("whole", "--set", "trainer.keep_last=9")
        self.must_train("fork", "--resume", f"{self.folder}/whole/checkpoints/step_21/")
        self.assertEqual(self.weights("whole").read_bytes(), self.weights("fork").read_bytes())
        self.assertEqual([line for line in self.lines("whole") if line["step"] > 21], self.lines("fork"))
        again = self.train("fork", "--resume", self.folder / "whole/checkpoints/step_28")
        self.refused(again, "fork: holds a run of its own", "--resume auto")

    def test_the_command_that_began_a_run_from_another_goes_on_with_it(self):
        self.must_train("whole", "--set", "trainer.keep_last=9")
        command = ["--resume", self.folder / "whole/checkpoints/step_21"]
        lines = [line for line in self.lines("whole") if line["step"] > 21]
        for steps, ranks in [(24, []), (30, []), (30, ["--launch", 2, "--set", "loader.batch_size=2"])]:
            output = f"fork_{steps}_{len(ranks)}"
            process = self.start_and_wait(output, steps, *command, *ranks)
            process.send_signal(signal.SIGTERM if ranks else signal.SIGKILL)  # a launcher's processes would outlive it
            process.communicate()
            saved = sorted(path.name for path in (self.folder / output / "checkpoints").glob("step_??"))
            done = self.must_train(output, *command, *ranks)
            said = f"{output} was begun from {command[1]}, and goes on from a checkpoint of its own"
            self.assertEqual(said in done.stderr, bool(saved), done.stderr)
            self.assertIn(f"going on after {(saved or ['step_21'])[-1].replace('_', ' ')} ", done.stderr)
            if ranks:
                self.assertEqual([line["step"] for line in lines], [line["step"] for line in self.lines(output)])
                continue
            self.assertEqual(self.weights("whole").read_bytes(), self.weights(output).read_bytes())
            self.assertEqual(lines, self.lines(output))
        again = self.must_train(output, *command, *ranks)
        self.assertIn("done: 36 steps", again.stderr)

    def test_a_folder_copied_without_its_links_goes_on(self):
        self.must_train("whole")
        process = self.start_and_wait("run", 21)
        process.terminate()
        process.communicate()
        shutil.copytree(self.folder / "run", self.folder / "copy")
        best = self.folder / "copy/checkpoints/best"
        self.assertTrue(best.is_dir() and not best.is_symlink())
        done = self.must_train("copy", "--resume", "auto")
        self.assertIn("copy/checkpoints/best was a copy of step_", done.stderr)
        self.assertNotIn("warning", done.stderr)
        self.assertSameRun("whole", "copy")
        for output in ["whole", "copy"]:
            self.assertTrue((self.folder / output / "checkpoints/best").is_symlink())
        self.assertEqual(os.readlink(best), os.readlink(self.folder / "whole/checkpoints/best"))
        self.assertEqual(*({path.name for path in (self.folder / output / "checkpoints").iterdir()} for output in ["whole", "copy"]))

        best.unlink()
        best.write_text("a letter")
        self.refused(self.train("copy", "--resume", "auto"), "copy/checkpoints/best: is no link", "move it elsewhere")
        self.assertEqual(best.read_text(), "a letter")

    def test_a_moved_folder_goes_on_with_its_own_tokenizer(self):
        words = self.folder / "words.txt"
        shutil.copy(self.data / "vocab.txt", words)
        self.must_train("whole", "--set", "trainer.keep_last=9", "--set", f"tokenizer.file={words}")
        moved = self.folder / "elsewhere/whole"
        shutil.copytree(self.folder / "whole", moved, symlinks=True)
        shutil.copytree(self.data / "train", self.folder / "elsewhere/train")
        self.config = moved / "config.resolved.json"
        resume = ["--resume", moved / "checkpoints/step_21", "--set", f'data.train=["{self.folder}/elsewhere/train"]']

        words.unlink()
        done = self.must_train("fork", *resume)
        self.assertNotIn("differs", done.stderr)
        self.assertEqual(self.weights("whole").read_bytes(), self.weights("fork").read_bytes())
        self.assertEqual((self.folder / "fork/vocab.txt").read_bytes(), (self.data / "vocab.txt").read_bytes())
        self.must_train("renamed", *resume, "--set", f"tokenizer.file={self.data}/vocab.txt")
        self.assertEqual(self.weights("whole").read_bytes(), self.weights("renamed").read_bytes())

        pieces = (self.data / "vocab.txt").read_text().splitlines()
        words.write_text("\n".join(pieces[:5] + pieces[:4:-1]) + "\n")
        self.refused(self.train("other", *resume), "words.txt is not the one", "elsewhere/whole/vocab.txt")
        words.unlink()
        (moved / "vocab.txt").unlink()
        self.refused(self.train("none", *resume), "words.txt", "No such file")

    def test_changes_between_a_checkpoint_and_its_resumption_are_named(self):
        self.must_train("run", "--set", "trainer.steps=7")
        done = self.must_train("run", "--resume", "auto", "--set", "trainer.steps=9")
        self.assertIn("trainer.steps was 7", done.stderr)
        self.assertIn("trainer.steps was 7", (self.folder / "run/log.txt").read_text())
        self.refused(self.train("run", "--resume", "auto", "--set", "model.width=32"), "model.width was 16")

    def test_a_complete_run_is_left_alone(self):
        self.must_train("run", "--set", "trainer.steps=4")
        before = self.weights("run").read_bytes()
        self.must_train("run", "--resume", "auto", "--set", "trainer.steps=4")
        self.assertEqual(before, self.weights("run").read_bytes())
        done = self.must_train("run", "--resume", "auto", "--set", "trainer.steps=3")
        self.assertIn("done: 4 steps;", done.stderr)


if __name__ == "__main__":
    unittest.main()
