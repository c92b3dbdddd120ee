#!/usr/bin/env python3
"""Pre-trains an ELECTRA-small on the same text with zeldarose (PyPI) and with fnlm, alternating, and prints a Markdown table.

    scripts/peer-zeldarose.py FNLM TEXT TOKENIZER [--pairs 3] [--steps 8] [--threads 1] [--venv DIR]

TEXT has one document a line; TOKENIZER is a tokenizer.json with [CLS], [SEP], [PAD], [MASK] and [UNK]. zeldarose is installed from
PyPI into DIR unless it is there (with torch: 6 GB). Both get batches of 16 rows of up to 128 tokens, dropout 0.1, 15 % masked, AdamW,
f32, embeddings shared. Nothing of zeldarose is changed: a wrapper notes the time whenever its loader makes a batch, and that batch's
tokens.

tokens/s    tokens of the text ([PAD] is not counted) by the seconds between the first and the last step that are timed
tokens/CPU s  the same by the processor time of the process, which other programs on the machine disturb less
a kill      both are ended with SIGKILL in the middle of training, having been told to save every 4 steps, and started again
"""

import argparse, json, os, pathlib, shutil, signal, statistics, subprocess, sys, tempfile, time

ROWS, LENGTH, WARM_UP, SAVE_EVERY, KILL_AFTER = 16, 128, 2, 4, 14

# Runs inside zeldarose's interpreter.
WRAPPER = """
import json, sys, time
from zeldarose.datasets import transform
from zeldarose.main import cli
log, plain = open(sys.argv.pop(1), "a"), transform.TextLoader.collate
def collate(self, batch):
    out = plain(self, batch)
    line = dict(at=time.time(), cpu=time.process_time(), tokens=int(out.attention_mask.sum()), places=out.tokens.numel())
    print(json.dumps(line), file=log, flush=True)
    return out
transform.TextLoader.collate = collate
cli()
"""


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("fnlm", type=pathlib.Path)
    p.add_argument("text", type=pathlib.Path)
    p.add_argument("tokenizer", type=pathlib.Path)
    p.add_argument("--pairs", type=int, default=3)
    p.add_argument("--steps", type=int, default=8, help="timed steps of each run")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--venv", type=pathlib.Path, default=pathlib.Path("zeldarose-venv"))
    p.add_argument("--version", default="0.14.0", help="of zeldarose")
    return p.parse_args()


def install(venv, version):
    python = venv.absolute() / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    if subprocess.run([python, "-c", "import zeldarose"], stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run([python, "-m", "pip", "install", "-q", f"zeldarose=={version}"], check=True)
    return python


def electra(vocabulary, generator):
    sizes = dict(hidden_size=64, num_attention_heads=1, intermediate_size=256) if generator else dict(
        hidden_size=256, num_attention_heads=4, intermediate_size=1024)
    return dict(sizes, model_type="electra", architectures=["ElectraForMaskedLM"], vocab_size=vocabulary, embedding_size=128,
                num_hidden_layers=12, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, max_position_embeddings=512)


class Peer:
    name = "zeldarose"

    def __init__(self, a, python, scratch):
        self.python, self.scratch, self.threads = python, scratch, a.threads
        self.folder = scratch / "tokenizer"
        self.folder.mkdir()
        shutil.copy(a.tokenizer, self.folder / "tokenizer.json")
        special = {f"{name}_token": f"[{name.upper()}]" for name in ("cls", "sep", "pad", "mask", "unk")}
        setting = dict(special, tokenizer_class="PreTrainedTokenizerFast", model_max_length=LENGTH)
        (self.folder / "tokenizer_config.json").write_text(json.dumps(setting))
        vocabulary = len(json.loads(a.tokenizer.read_text())["model"]["vocab"])
        for name in ("discriminator", "generator"):
            (scratch / name).mkdir()
            (scratch / name / "config.json").write_text(json.dumps(electra(vocabulary, name == "generator")))

    def start(self, text, steps, out, more=()):
        """Returns the process and the file with one line a batch."""
        # The schedule bounds the steps; `max_steps` is not read (train_transformer.py, `max_steps = -1`).
        config = self.scratch / f"{out.name}.toml"
        config.write_text(
            f'type = "rtd"\n[task]\ndiscriminator_loss_weight = 50.0\nembeddings_sharing = "electra"\nmask_ratio = 0.15\n'
            f"[tuning]\nbatch_size = {ROWS}\nbetas = [0.9, 0.999]\nepsilon = 1e-6\nlearning_rate = 5e-4\nweight_decay = 0.01\n"
            f"warmup_steps = 1\nlr_decay_steps = {steps - 1}\ngradient_clipping = 1.0\nmax_input_length = {LENGTH}\n")
        log = self.scratch / f"{out.name}.jsonl"
        command = [self.python, "-c", WRAPPER, log, "transformer", "--accelerator", "cpu", "--config", config, "--tokenizer", self.folder,
                   "--model-config", f"{self.scratch / 'discriminator'},{self.scratch / 'generator'}", "--cache-dir",
                   self.scratch / f"{out.name}-cache", "--out-dir", out, "--model-name", "final", *more, text]
        threads = {f"{name}_NUM_THREADS": str(self.threads) for name in ("OMP", "MKL")}
        environment = dict(os.environ, **threads, HF_HUB_OFFLINE="1", HF_DATASETS_CACHE=str(self.scratch / "datasets"))
        with open(self.scratch / f"{out.name}.out", "a") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, env=environment), log

    def steps(self, log, process):
        return records(log)


class Ours:
    name = "fnlm"

    def __init__(self, a, scratch):
        self.a, self.scratch, self.seen = a, scratch, {}

    def start(self, text, steps, out, more=()):
        command = [self.a.fnlm.absolute(), "pretrain", "--preset", "electra-small", "--train", text, "--tokenizer", self.a.tokenizer, "--run", out,
                   "--steps", str(steps), "--batch", str(ROWS), "--length", str(LENGTH), "--threads", str(self.a.threads),
                   "--set", "log.every=1", "--set", "schedule.warmup=1", "--set", f"data.cache={out}-cache", *more]
        with open(self.scratch / f"{out.name}.out", "a") as output:
            return subprocess.Popen(command, stdout=output, stderr=output), out / "metrics.jsonl"

    def steps(self, log, process):
        """The processor time is read when a line of a step appears, to 10 ms."""
        lines = [line for line in records(log) if line["kind"] == "step"]
        seen = self.seen.setdefault(process.pid, [])
        for line in lines[len(seen):]:
            seen.append(dict(at=time.time(), cpu=processor_time(process.pid), tokens=line["tokens"], places=ROWS * LENGTH, step=line["step"]))
        return seen


def records(path):
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def processor_time(pid):
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(program, process, log, until=None):
    """Waits for the end, or kills after `until` steps of this process. Returns its steps, exit code and peak memory in MiB."""
    while True:
        steps = program.steps(log, process)
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return steps, process.returncode, round(usage.ru_maxrss / 1024)
        if until and len(steps) >= until:
            process.send_signal(signal.SIGKILL)
            until = None
        time.sleep(0.02)


def speed(program, text, a, out):
    process, log = program.start(text, WARM_UP + a.steps + 1, out)
    steps, code, memory = watch(program, process, log)
    if code != 0:
        sys.exit(f"{program.name} ended with {code}, see {program.scratch / out.name}.out")
    if isinstance(program, Peer):
        # A batch is noted before its step: the time from one note to the next belongs to the earlier batch.
        timed = steps[WARM_UP:WARM_UP + a.steps + 1]
        tokens, places = (sum(step[key] for step in timed[:-1]) for key in ("tokens", "places"))
    else:
        timed = steps[WARM_UP - 1:WARM_UP + a.steps]
        tokens, places = (sum(step[key] for step in timed[1:]) for key in ("tokens", "places"))
    wall, cpu = (timed[-1][key] - timed[0][key] for key in ("at", "cpu"))
    return dict(program=program.name, wall=tokens / wall, cpu=tokens / cpu, filled=tokens / places, memory=memory)


def killed_peer(peer, text, out):
    process, log = peer.start(text, 40, out, ["--step-save-period", str(SAVE_EVERY)])
    _, code, _ = watch(peer, process, log, KILL_AFTER)
    if code != -signal.SIGKILL:
        sys.exit(f"zeldarose ended with {code} before it was killed, see {peer.scratch / out.name}.out")
    models = len(list((out / "partway_models").glob("*")))
    checkpoints = sorted(out.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    what = f"killed after about {KILL_AFTER} steps: {models} models, {len(checkpoints)} training states saved"
    if not checkpoints:
        return f"{what}; nothing to go on from"
    log.unlink()
    process, log = peer.start(text, 40, out, ["--checkpoint", checkpoints[-1]])
    steps, code, _ = watch(peer, process, log)
    lines = [line for line in (peer.scratch / f"{out.name}.out").read_text(errors="replace").split("\n") if "Error" in line]
    error = next((line.strip()[:200] for line in reversed(lines)), "")
    return f"{what}; `--checkpoint {checkpoints[-1].name}`: exit code {code}, {len(steps)} further batches{'; ' + error if code else ''}"


def killed_ours(ours, text, out):
    def final(folder):
        return (folder / "model/model.safetensors").read_bytes()

    every = ["--set", f"checkpoint.every={SAVE_EVERY}"]
    whole = out.with_name(f"{out.name}-whole")
    process, log = ours.start(text, 18, whole, every)
    watch(ours, process, log)
    process, log = ours.start(text, 18, out, every)
    _, code, _ = watch(ours, process, log, KILL_AFTER)
    if code != -signal.SIGKILL:
        sys.exit(f"fnlm ended with {code} before it was killed, see {ours.scratch / out.name}.out")
    states = sorted((out / "checkpoints").glob("step-*"))
    process, log = ours.start(text, 18, out, every)
    _, code, _ = watch(ours, process, log)
    same = "the same bytes as" if final(out) == final(whole) else "OTHER BYTES than"
    return f"killed after {KILL_AFTER} steps: newest state of step {int(states[-1].name[5:])}; the same command: exit code {code}, its model has {same} that of a run that was not killed"


def main():
    a = arguments()
    python = install(a.venv, a.version)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="peer-zeldarose-"))
    peer, ours = Peer(a, python, scratch), Ours(a, scratch)
    text = scratch / "text.txt"
    lines = [line for line in a.text.read_text().split("\n") if line.strip()]
    few = scratch / "few.txt"
    needed = ROWS * (WARM_UP + a.steps + 2)
    if len(lines) < needed:
        sys.exit(f"{a.text}: {len(lines)} lines that are not empty; {needed} are needed")
    # zeldarose reads one row a line; a blank line ends a document for fnlm.
    text.write_text("".join(f"{line}\n\n" for line in lines))
    few.write_text("".join(f"{line}\n\n" for line in lines[:ROWS * 6]))

    print("| | tokens/s | tokens/CPU s | places filled | memory, MiB |\n|---|---:|---:|---:|---:|")
    pairs = []
    for n in range(a.pairs):
        both = [speed(program, text, a, scratch / f"{program.name}-{n}") for program in (peer, ours)]
        for r in both:
            print(f"| {r['program']} | {r['wall']:,.0f} | {r['cpu']:,.0f} | {100 * r['filled']:.0f} % | {r['memory']:,} |", flush=True)
        pairs.append(both)

    def ratio(key):
        return statistics.median(ours[key] / peer[key] for peer, ours in pairs)

    print(f"\nfnlm by zeldarose, medians of {a.pairs} pairs: {ratio('wall'):.2f} of its tokens/s, {ratio('cpu'):.2f} of its tokens a "
          f"second of processor time, {ratio('memory'):.2f} of its memory; {a.threads} thread(s), {WARM_UP} steps of warm-up, {a.steps} timed")
    print(f"\nzeldarose, {killed_peer(peer, few, scratch / 'peer-killed')}")
    print(f"\nfnlm, {killed_ours(ours, few, scratch / 'ours-killed')}")
    versions = subprocess.run(
        [python, "-c", "from importlib.metadata import version as v; print(*(f'{n} {v(n)}' for n in ('zeldarose', 'torch', 'transformers', 'pytorch_lightning')), sep=', ')"],
        check=True, capture_output=True, text=True).stdout.strip()
    print(f"\n{versions}; {subprocess.run([a.fnlm.absolute(), '--version'], capture_output=True, text=True).stdout.strip()}")
    shutil.rmtree(scratch)


main()
