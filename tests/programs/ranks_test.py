"""capture_train in several processes: the same numbers as in one, whatever starts them, and the same input for all."""
import array
import json
import math
import os
import pathlib
import signal
import socket
import subprocess
import unittest

import ranks_case
from ranks_case import BATCH, BIN, PAIRS, RanksCase, norm, setUpModule, tearDownModule

TORCHRUN = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "capture/torch-2.11.0/bin/torchrun"
STEADY = ["schedule.type=constant", "schedule.warmup_fraction=0"]  # not a matter of how many steps are asked for


class Numbers(RanksCase):
    def test_ranks_repeat_one_process_also_when_their_number_changes(self):
        self.train("one", 1)
        done = self.train("two", 2)
        self.assertSameNumbers("one", "two")
        self.assertEqual(self.files("two"), sorted([*self.files("one"), "log.rank1.txt"]))
        self.assertIn("rank 1 of 2 is process", self.log("two", 1))
        self.assertNotIn("rank 1", done.stderr)
        for steps, ranks in [(5, 1), (10, 2), (20, 4)]:
            self.train("changing", ranks, f"trainer.steps={steps}", *STEADY, "loader.bucket_batches=3", resume="auto")
        self.train("steady", 1, *STEADY, "loader.bucket_batches=3")
        self.assertSameNumbers("steady", "changing")

    def test_so_they_do_without_the_contrast_and_with_several_batches_a_step(self):
        for name, settings in [("alone", ["objective.contrastive=0"]), ("divided", ["trainer.accumulation=2"]),
                               ("both", ["objective.contrastive=0", "trainer.accumulation=2"])]:
            self.train(f"{name}_1", 1, *settings)
            for ranks in (2, 4):
                with self.subTest(name, ranks=ranks):
                    self.train(f"{name}_{ranks}", ranks, *settings)
                    self.assertSameNumbers(f"{name}_1", f"{name}_{ranks}")

    def free_job(self):
        """The number of a job whose port nobody uses, below those that the system hands out."""
        for job in range(os.getpid() % 10000, 12000):
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", 20000 + job))
                    return str(job)
                except OSError:
                    pass
        self.fail("no port is free")

    def test_slurm_starts_it_and_starts_it_again(self):
        job = {"SLURM_NTASKS": "2", "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1", "SLURM_JOB_ID": self.free_job()}
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            self.environment.pop(name, None)
        for restarts, steps in [(0, 7), (1, 20)]:
            command = self.command("two", 1, f"loader.batch_size={BATCH // 2}", f"trainer.steps={steps}", *STEADY, resume="auto")
            tasks = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True,
                                      env={**self.environment, **job, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank),
                                           **({"SLURM_RESTART_COUNT": str(restarts)} if restarts else {})}) for rank in range(2)]
            for task in tasks:
                self.addCleanup(task.kill)
            said = [task.communicate(timeout=60)[1] for task in tasks]
            self.assertEqual([task.returncode for task in tasks], [0, 0], said)
        self.train("steady", 1, *STEADY)
        self.assertSameNumbers("steady", "two")


@unittest.skipUnless(TORCHRUN.exists(), "torchrun is not in the cached wheel")
class Torchrun(RanksCase):
    def launch(self, output, *settings, restarts=0):
        # What --standalone does, on a machine that need not know the name localhost.
        here = ["--nnodes", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1",
                "--max-restarts", str(restarts), "--monitor-interval", "0.1", "--log-dir", str(self.folder / "torchrun")]
        command = ["python3", "-m", "torch.distributed.run", "--no-python", *here, "--nproc-per-node", "2",
                   *self.command(output, 1, f"loader.batch_size={BATCH // 2}", *settings, resume="auto")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   env={**self.environment, "PYTHONPATH": str(TORCHRUN.parent.parent)})
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    def must_end_well(self, process):
        _, said = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, said)

    def test_starts_it(self):
        self.train("one", 1)
        self.must_end_well(self.launch("two"))
        self.assertSameNumbers("one", "two")

    def test_starts_all_again_where_one_is_lost_and_they_go_on(self):
        long = ["trainer.steps=600", "trainer.checkpoint_interval=20", "trainer.keep_last=99"]
        self.must_end_well(self.launch("whole", *long))
        process = self.launch("lost", *long, restarts=1)
        self.until_step(process, "lost", 50)
        ids = self.ids("lost", 2)
        os.kill(ids[1], signal.SIGKILL)
        self.must_end_well(process)
        self.assertTrue(set(ids).isdisjoint(self.ids("lost", 2)))
        self.assertEqual(self.losses("whole"), self.losses("lost"))
        last = "checkpoints/step_600/model.safetensors"
        self.assertEqual((self.folder / "whole" / last).read_bytes(), (self.folder / "lost" / last).read_bytes())

    def test_ranks_end_with_their_agent(self):
        process = self.launch("run", "trainer.steps=1000000", "trainer.checkpoint_interval=5")
        self.until_step(process, "run", 12)
        ids = self.ids("run", 2)
        process.kill()
        process.wait()
        self.until_gone(ids)
        last = json.loads((self.folder / "run/metrics.jsonl").read_text().splitlines()[-1])["step"]
        self.assertTrue((self.folder / f"run/checkpoints/step_{last}").exists())


class Cores(RanksCase):
    def test_bound_ranks_keep_to_cores_of_their_own(self):
        cores = sorted(os.sched_getaffinity(0))
        process, ids = self.start("bound", 2, 3, "distributed.bind_cores=true")
        # Every thread, those of the loader and the network too.
        threads = [[os.sched_getaffinity(int(thread)) for thread in os.listdir(f"/proc/{rank}/task")] for rank in ids]
        process.terminate()
        process.communicate(timeout=60)
        own = [set.union(*of_rank) for of_rank in threads]
        for of_rank, whole in zip(threads, own):
            self.assertTrue(all(thread == whole for thread in of_rank), of_rank)
        if len(cores) >= 4 or len(cores) == 2 and not self.siblings(*cores):
            self.assertFalse(own[0] & own[1])
            self.assertEqual(sorted(own[0] | own[1]), cores)
        self.assertIn("on processors ", self.log("bound", 1))

    def siblings(self, one, other):
        """Whether the two are hardware threads of one core."""
        core = [pathlib.Path(f"/sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list") for n in (one, other)]
        return core[0].exists() and core[0].read_text() == core[1].read_text()


def write_bert(path, **more):
    """The weights of a BERT that fits the text side of small_config, all of them one number."""
    wide, shapes = 16, {}
    words = len((ranks_case.DATA / "world/vocab.txt").read_text().splitlines())
    for name, rows in (("word_embeddings", words), ("position_embeddings", 512), ("token_type_embeddings", 2)):
        shapes[f"embeddings.{name}.weight"] = [rows, wide]
    layer = "encoder.layer.0."
    for name, rows, columns in [*((f"attention.self.{part}", wide, wide) for part in ("query", "key", "value")),
                                ("attention.output.dense", wide, wide), ("intermediate.dense", 32, wide),
                                ("output.dense", wide, 32)]:
        shapes[f"{layer}{name}.weight"], shapes[f"{layer}{name}.bias"] = [rows, columns], [rows]
    for norm in ("embeddings.LayerNorm", f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"):
        shapes[f"{norm}.weight"] = shapes[f"{norm}.bias"] = [wide]
    header, end = {}, 0
    for name, shape in {**shapes, **more}.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + array.array("f", [0.01] * (end // 4)).tobytes())


class OtherInput(RanksCase):
    """Two machines with the same paths, the second of which has something else under one of them."""

    @classmethod
    def setUpClass(cls):
        subprocess.run([BIN / "capture_data", "synth", "--output", ranks_case.DATA / "shop", "--train", "8", "--gallery", "8", "--queries", "4",
                        "--products", "4", "--feature-width", "8", "--regions", "6"], check=True, capture_output=True, timeout=60)

    def setUp(self):
        super().setUp()
        config = json.loads(self.config.read_text())
        config["data"] = {"train": ["train"], "validation": ["validation"]}
        config["evaluation"] = {"gallery": ["gallery"], "queries": ["queries"]}
        config["trainer"]["steps"] = 2
        self.config.write_text(json.dumps(config))

    def run_on_two(self, stale, *arguments):
        """Each one's exit code and what it said. Of the dataset `stale` the second machine lacks the last sample."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        home = self.folder / (stale or "same")
        ranks = []
        for rank in range(2):
            place = home / f"machine_{rank}"
            place.mkdir(parents=True)
            write_bert(place / "bert.safetensors", **({"cls.predictions.transform.dense.bias": [16]} if stale == "bert" and rank else {}))
            for name, source, samples in [("train", "world/train", PAIRS), ("validation", "shop/train", 8),
                                          ("gallery", "shop/gallery", 8), ("queries", "shop/queries", 4)]:
                last = samples - 1 - (1 if stale == name and rank else 0)
                subprocess.run([BIN / "capture_data", "subset", ranks_case.DATA / source, "--last", str(last), "--output", place / name],
                               check=True, capture_output=True, timeout=60)
            where = {"RANK": str(rank), "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            ranks.append(subprocess.Popen([*self.command(home / "run", 1), *arguments], cwd=place, stderr=subprocess.PIPE, text=True,
                                          env={**self.environment, **where}))
        said = [process.communicate(timeout=60)[1] for process in ranks]
        return [process.returncode for process in ranks], said, home / "run"

    def test_is_refused_by_all_ranks_before_anything_is_written(self):
        for stale, named in [("train", "the content of data.train"), ("validation", "the content of data.validation"),
                             ("gallery", "the content of evaluation.gallery"), ("queries", "the content of evaluation.queries"),
                             ("bert", "the list of BERT's parameters in --init")]:
            with self.subTest(stale):
                codes, said, run = self.run_on_two(stale, "--init", "bert.safetensors")
                self.assertEqual(codes, [1, 1], said)
                for message in said:
                    self.assertIn(f"{named} of rank 1 is not that of rank 0", message)
                self.assertFalse(run.exists())

    def test_no_difference_is_found_where_there_is_none(self):
        codes, said, run = self.run_on_two(None, "--init", "bert.safetensors")
        self.assertEqual(codes, [0, 0], said)
        self.assertIn("mAP@10", (run / "metrics.jsonl").read_text())


if __name__ == "__main__":
    unittest.main()
