#!/usr/bin/env bash
# Strong scaling over a network on one machine: two network namespaces, as two machines, a rank of one thread in each, and a link of limited rate and
# with a delay between them. TCP and MPI are real. The link is a process that takes IP packets from one namespace (a tun device), keeps each for
# as long as the wire would need, and gives it to the other: no kernel module (sch_netem) is needed.
#
#   sudo scripts/scaling-netns.sh FNLM RATE DELAY [--set KEY=VALUE ...]
#   sudo scripts/scaling-netns.sh target/release/fnlm 1gbit 1ms --set train.steps=12
#
# FNLM is built with the feature `mpi`; DELAY is one way. Makes its own text, addresses and namespaces and removes them. Prints the rate that both directions
# reach at once and the round trip, as TCP sees them, the median seconds of a step on one rank (both micro-batches) and on two, the processor time that the link
# has cost, and the step of two ranks by scripts/scaling-model.py, which is given RATE and DELAY and what one rank needs. Both cores should be idle.
set -euo pipefail
fnlm=$(realpath "$1") rate=$2 delay=$3
shift 3
model=$(realpath "$(dirname "$0")/scaling-model.py")
scratch=$(mktemp -d)
a=fnlm-a-$$ b=fnlm-b-$$
link=
cleanup() {
  if [ -n "$link" ]; then kill "$link" 2>/dev/null || true; fi
  for name in "$a" "$b"; do ip netns del "$name" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap cleanup EXIT
cat >"$scratch/link.py" <<'PY'
"""Two tun devices with a wire between them: each direction sends one packet after the other at RATE, and delivers it DELAY later."""
import fcntl, os, struct, sys, threading, time
from collections import deque

UNITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "us": 1e-6, "ms": 1e-3, "s": 1.0}

def number(text):
    unit = next(unit for unit in UNITS if text.endswith(unit))
    return float(text[: -len(unit)]) * UNITS[unit]

def device(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH", name.encode(), 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
    return fd

def wire(here, there, rate, delay):
    """Reads packets of `here` and writes each to `there` when it would arrive. A reading thread stamps, this one delivers."""
    queue, ready = deque(), threading.Condition()

    def read():
        free = 0.0
        while True:
            packet = os.read(here, 1 << 16)
            free = max(free, time.perf_counter()) + len(packet) * 8 / rate
            with ready:
                queue.append((free + delay, packet))
                ready.notify()

    threading.Thread(target=read, daemon=True).start()
    while True:
        with ready:
            while not queue:
                ready.wait()
            due, packet = queue.popleft()
        left = due - time.perf_counter()
        if left > 0:
            time.sleep(left)
        try:
            os.write(there, packet)
        except OSError:
            pass  # the device is down, at the beginning and the end

rate, delay = number(sys.argv[1]), 0.0 if sys.argv[2] == "0" else number(sys.argv[2])
one, two = device(sys.argv[3]), device(sys.argv[4])
print("ready", flush=True)
threading.Thread(target=wire, args=(one, two, rate, delay), daemon=True).start()
wire(two, one, rate, delay)
PY
ip netns add "$a"
ip netns add "$b"
python3 "$scratch/link.py" "$rate" "$delay" "ta$$" "tb$$" >"$scratch/link" &
link=$!
for _ in $(seq 100); do
  if [ -s "$scratch/link" ]; then break; fi
  sleep 0.1
done
# Packets of 64 kB, so that 10 Gbit/s are 20,000 packets a second. The devices go to their namespaces; the process keeps them open.
for side in "$a ta$$ 10.77.0.1" "$b tb$$ 10.77.0.2"; do
  read -r namespace tun address <<<"$side"
  ip link set "$tun" netns "$namespace"
  ip -n "$namespace" addr add "$address/24" dev "$tun"
  ip -n "$namespace" link set lo up
  ip -n "$namespace" link set "$tun" mtu 65000 txqueuelen 1000 up
done
cat >"$scratch/rate.py" <<'PY'
"""Round trips of one byte; then 16 MiB to the other side while as much is received, three times. Prints the median of both."""
import socket, statistics, sys, threading, time

SIZE = 16 << 20
if sys.argv[1] == "listen":
    with socket.create_server(("10.77.0.2", 5077)) as server:
        link, _ = server.accept()
else:
    for _ in range(100):
        try:
            link = socket.create_connection(("10.77.0.2", 5077))
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
trips, rates = [], []
for _ in range(50):
    began = time.perf_counter()
    if sys.argv[1] == "listen":
        link.sendall(link.recv(1))
    else:
        link.sendall(b"x")
        link.recv(1)
        trips.append(time.perf_counter() - began)
for _ in range(3):
    sender = threading.Thread(target=link.sendall, args=(bytes(SIZE),))
    began, left = time.perf_counter(), SIZE
    sender.start()
    while left:
        left -= len(link.recv(min(left, 1 << 20)))
    sender.join()
    rates.append(SIZE * 8 / (time.perf_counter() - began) / 1e9)
if sys.argv[1] != "listen":
    print(f"TCP: round trip {statistics.median(trips) * 1e3:.2f} ms, both directions at once {statistics.median(rates):.3f} Gbit/s each")
PY
ip netns exec "$b" python3 "$scratch/rate.py" listen &
listening=$!
ip netns exec "$a" python3 "$scratch/rate.py" connect
wait "$listening"
"$fnlm" quickstart --prepare-only --steps 100 --out "$scratch/q" >/dev/null
arguments=(pretrain --config "$scratch/q/config.toml" --quiet --set "data.cache=$scratch/cache" --set 'data.held_out=[]'
  --set model.num_layers=4 --set model.hidden_size=256 --set model.embedding_size=128 --set model.num_heads=4 --set model.intermediate_size=1024
  --set train.batch=16 --set train.accumulation=2 --set train.steps=12 --set train.threads=1 --set log.every=1 --set log.tensorboard=false
  --set eval.every=0 "$@")
# mpirun starts its daemon on the other "machine" with this in place of ssh. Another host name keeps OpenMPI from shared memory.
cat >"$scratch/agent" <<AGENT
#!/usr/bin/env bash
shift
exec ip netns exec "$b" unshare --uts bash -c 'hostname fnlm-b; exec bash -c "\$0"' "\$*"
AGENT
chmod +x "$scratch/agent"
printf '10.77.0.1 slots=1\n10.77.0.2 slots=1\n' >"$scratch/hosts"
median() { # run directory: median seconds of the steps after the second
  python3 - "$1" <<'PY'
import json, statistics, sys
steps = [json.loads(line) for line in open(sys.argv[1] + "/metrics.jsonl")]
seconds = [s["time"]["seconds_per_step"] for s in steps if s.get("kind") == "step"][2:]
print(f"{statistics.median(seconds):.4f}")
PY
}
spent() { awk '{print ($14 + $15) / 100}' "/proc/$link/stat"; }
"$fnlm" "${arguments[@]}" --run "$scratch/one" >/dev/null
# The same micro-batches, half as many: what is left of a step is the update.
"$fnlm" "${arguments[@]}" --set train.accumulation=1 --run "$scratch/half" >/dev/null
one=$(median "$scratch/one") half=$(median "$scratch/half")
echo "1 rank: $one s a step, $half s with one of the two micro-batches"
before=$(spent)
ip netns exec "$a" unshare --uts bash -c 'hostname fnlm-a; exec "$@"' mpirun mpirun --allow-run-as-root --bind-to none \
  --hostfile "$scratch/hosts" -n 2 --map-by node --mca plm_rsh_agent "$scratch/agent" --mca pml ob1 --mca btl tcp,self \
  --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 "$fnlm" "${arguments[@]}" --run "$scratch/two" >/dev/null
two=$(median "$scratch/two")
echo "2 ranks, $rate, delay $delay: $two s a step; the link took $(python3 -c "print(round($(spent) - $before, 2))") s of processor time"
cmp "$scratch/one/model/model.safetensors" "$scratch/two/model/model.safetensors" && echo "the same bytes"
after=--after
case " $* " in *" train.overlap=true "*) after= ;; esac
python3 - "$model" "$scratch" "$rate" "$delay" "$one" "$half" "$two" $after <<'PY'
import json, math, struct, subprocess, sys
model, scratch, rate, delay, one, half, two, *after = sys.argv[1:]
# Trained parameters: those of the checkpoint.
newest = subprocess.check_output(["sh", "-c", f"ls -d {scratch}/one/checkpoints/step-* | tail -1"], text=True).strip()
with open(f"{newest}/model.safetensors", "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
parameters = sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
units = {"kbit": 1e-6, "mbit": 1e-3, "gbit": 1.0, "us": 1e-3, "ms": 1.0}
value = lambda text: 0.0 if text == "0" else next(float(text[: -len(u)]) * f for u, f in units.items() if text.endswith(u))
one, half, two = float(one), float(half), float(two)
micro = one - half
table = subprocess.check_output(
    [sys.executable, model, "--parameters", str(parameters), "--micro-seconds", str(micro), "--update-seconds", str(max(half - micro, 0.0)),
     "--micro-batches", "2", "--gbit", str(value(rate)), "--latency-ms", str(value(delay)), "--nodes", "2", *after], text=True)
rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
step = float(rows[-1][rows[0].index("step s")])
print(f"model, {parameters:,} parameters: {step:.4f} s a step; measured is {100 * (two / step - 1):+.0f} %")
PY
