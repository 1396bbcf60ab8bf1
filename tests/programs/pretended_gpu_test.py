"""benchmarks/pretended_gpu on four of its cases: no settled step waits for the GPU, and one that does is noticed."""
import os
import pathlib
import subprocess
import sys
import unittest

SCRIPT = pathlib.Path(os.environ["CAPTURE_SOURCE"]) / "benchmarks/pretended_gpu"
LACKING = 77


@unittest.skipIf(os.environ.get("CAPTURE_SANITIZE") == "ON", "AddressSanitizer wants to be loaded before the library")
class PretendedGpu(unittest.TestCase):
    def look(self, *arguments):
        done = subprocess.run([sys.executable, SCRIPT, "--bin", os.environ["CAPTURE_BIN"], *arguments], capture_output=True,
                              text=True, timeout=400)
        if done.returncode == LACKING:
            self.skipTest(done.stderr.strip())
        return done

    def rows(self, done):
        """{case: {column: cell}} of the table."""
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if line.startswith("|")]
        return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]}

    def test_no_step_waits(self):
        cases = ["float32", "padded", "graphs", "two ranks"]
        done = self.look(*(word for case in cases for word in ("--only", case)))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = self.rows(done)
        self.assertEqual(list(rows), cases)
        for case in cases:
            self.assertGreater(int(rows[case]["settled steps"]), 0)
            self.assertEqual((rows[case]["waits"], rows[case]["pageable copies"]), ("0", "0"))
        self.assertGreater(int(rows["graphs"]["graphs repeated"]), 0)
        self.assertGreater(int(rows["two ranks"]["collectives a step"]), 0)

    def test_packed_batches_ask_for_fewer_kernels_in_bfloat16(self):
        done = self.look("--host", "--batch", "2")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[2:]]
        launches = {(form, dtype): int(count) for form, dtype, count, _ in cells}
        self.assertGreater(launches["packed", "bf16"], 100)
        self.assertLess(launches["packed", "bf16"], 0.8 * launches["padded", "bf16"])

    def test_a_step_that_waits_is_noticed(self):
        # A line of the log needs the step's numbers.
        done = self.look("--only", "float32", "--set", "trainer.log_interval=1")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        row = self.rows(done)["float32"]
        self.assertEqual(row["exit code"], "0")
        self.assertGreaterEqual(int(row["waits"]), int(row["settled steps"]))
        self.assertIn("float32: waits, ", done.stdout)


if __name__ == "__main__":
    unittest.main()
