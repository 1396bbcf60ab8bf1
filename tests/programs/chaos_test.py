"""Two cases of benchmarks/chaos, which draws faults at random: hours of it are run by hand (docs/clusters.md)."""
import os
import pathlib
import subprocess
import sys
import unittest

CHAOS = pathlib.Path(os.environ["CAPTURE_SOURCE"]) / "benchmarks/chaos"


class Chaos(unittest.TestCase):
    def test_a_run_under_faults_is_the_run_without(self):
        done = subprocess.run([sys.executable, CHAOS, "--bin", os.environ["CAPTURE_BIN"], "--ranks", "1,2",
                               "--only", "1", "--only", "2"], capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"2 cases, \d+ faults, \d+ resumptions, 0 differences")


if __name__ == "__main__":
    unittest.main()
