"""Of benchmarks/chaos: one start of capture_train with all its processes, and the disk that it writes to."""
import contextlib
import os
import pathlib
import resource
import signal
import socket
import subprocess
import threading
import time


def lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Attempt:
    """One start of capture_train, with all its processes."""

    def __init__(self, case, folder, ranks, timeout, resume):
        self.folder, self.ranks, self.timeout = folder, ranks, timeout
        settings = {**case.settings, "loader.batch_size": case.BATCH // ranks, "distributed.timeout_seconds": timeout}
        self.command = [str(case.bin / "capture_train"), "--config", str(case.config), "--output", str(folder), "--resume",
                        resume, *[word for key, value in settings.items() for word in ("--set", f"{key}={value}")]]
        self.launched = case.launched and ranks > 1
        if self.launched:
            self.command += ["--launch", str(ranks)]
        self.processes, self.texts, self.readers = [], [], []  # what each says on standard error, and who reads it
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for rank in range(1 if self.launched else ranks):
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            if ranks > 1 and not self.launched:
                environment.update(RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1",
                                   MASTER_PORT=str(port))
            self.processes.append(subprocess.Popen(self.command, stderr=subprocess.PIPE, env=environment))
            self.texts.append(bytearray())
            self.readers.append(threading.Thread(target=self.read, args=[rank], daemon=True))
            self.readers[-1].start()
        self.pids = {} if self.launched else dict(enumerate(process.pid for process in self.processes))

    def read(self, index):
        with self.processes[index].stderr as stream:
            while piece := stream.read1():
                self.texts[index] += piece

    def find_ranks(self):
        """Of a launcher, as soon as it has started all."""
        if self.launched and len(self.pids) < self.ranks:
            with contextlib.suppress(OSError):
                launcher = self.processes[0].pid
                children = pathlib.Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
                self.pids = dict(enumerate(map(int, children)))

    def wait_for_ranks(self):
        """Until all have been started."""
        while len(self.pids) < self.ranks and self.processes[0].poll() is None:
            self.find_ranks()
            time.sleep(0.001)

    def is_over(self):
        self.find_ranks()
        over = all(process.poll() is not None for process in self.processes) and not any(map(lives, self.pids.values()))
        if over:
            for reader in self.readers:
                reader.join()
        return over

    def said(self):
        return "".join(f"--- process {index}\n{text.decode(errors='replace')}" for index, text in enumerate(self.texts))

    def send(self, number, *pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self):
        self.find_ranks()
        for process in self.processes:
            process.kill()
            process.wait()
        self.send(signal.SIGKILL, *[pid for pid in self.pids.values() if lives(pid)])


class Disk:
    """Of rank 0: the small file system, or its limit on the size of files."""

    def __init__(self, case, attempt):
        self.filler = case.disk / "filler" if case.disk else None
        self.attempt = attempt

    def fill(self):
        if self.filler:
            with contextlib.suppress(OSError), open(self.filler, "wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        else:
            self.limit(1)

    def free(self):
        if self.filler:
            self.filler.unlink(missing_ok=True)
        else:
            self.limit(resource.RLIM_INFINITY)

    def limit(self, size):
        self.attempt.wait_for_ranks()
        with contextlib.suppress(ProcessLookupError, KeyError):
            resource.prlimit(self.attempt.pids[0], resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
