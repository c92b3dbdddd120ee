#!/usr/bin/env bash
# Strong scaling over a slow network on one machine: two network namespaces, a rank of one thread in each, and a link of limited rate.
#
#   sudo scripts/scaling-netns.sh FNLM RATE DELAY [--set KEY=VALUE ...]
#   sudo scripts/scaling-netns.sh target/release/fnlm 1gbit 1ms --set train.steps=12
#
# FNLM is built with the feature `mpi`. DELAY is one way; it needs the kernel module sch_netem. Where the kernel has none, give 0: the rate is then
# limited by sch_tbf, and the delay is that of the veth pair. Makes its own text, addresses and namespaces and removes them. Prints the
# rate that both directions reach at once, which is the --gbit of scripts/scaling-model.py, and the median seconds of a step on one rank (both
# micro-batches) and on two.
set -euo pipefail
fnlm=$(realpath "$1") rate=$2 delay=$3
shift 3
scratch=$(mktemp -d)
a=fnlm-a-$$ b=fnlm-b-$$
cleanup() {
  for name in "$a" "$b"; do ip netns del "$name" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap cleanup EXIT
ip netns add "$a"
ip netns add "$b"
ip link add "va$$" type veth peer name "vb$$"
ip link set "va$$" netns "$a"
ip link set "vb$$" netns "$b"
ip -n "$a" addr add 10.77.0.1/24 dev "va$$"
ip -n "$b" addr add 10.77.0.2/24 dev "vb$$"
for pair in "$a va$$" "$b vb$$"; do
  # shellcheck disable=SC2086
  set -- $pair "$@"
  ip -n "$1" link set lo up
  ip -n "$1" link set "$2" up
  if [ "$delay" = 0 ]; then
    ip netns exec "$1" tc qdisc add dev "$2" root tbf rate "$rate" burst 256kb latency 5ms
  else
    ip netns exec "$1" tc qdisc add dev "$2" root netem rate "$rate" delay "$delay"
  fi
  shift 2
done
cat >"$scratch/rate.py" <<'PY'
"""Sends 16 MiB to the other side while as much is received; prints the slower of the two, in Gbit/s."""
import socket, sys, threading, time

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
sender = threading.Thread(target=link.sendall, args=(bytes(SIZE),))
began, left = time.perf_counter(), SIZE
sender.start()
while left:
    left -= len(link.recv(1 << 20))
sender.join()
if sys.argv[1] != "listen":
    print(f"both directions at once: {SIZE * 8 / (time.perf_counter() - began) / 1e9:.3f} Gbit/s each")
PY
ip netns exec "$b" python3 "$scratch/rate.py" listen &
ip netns exec "$a" python3 "$scratch/rate.py" connect
wait
"$fnlm" quickstart --prepare-only --steps 100 --out "$scratch/q" >/dev/null
arguments=(pretrain --config "$scratch/q/config.toml" --quiet --set "data.cache=$scratch/cache" --set data.held_out=[]
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
"$fnlm" "${arguments[@]}" --run "$scratch/one" >/dev/null
echo "1 rank: $(median "$scratch/one") s a step"
ip netns exec "$a" unshare --uts bash -c 'hostname fnlm-a; exec "$@"' mpirun mpirun --allow-run-as-root --bind-to none \
  --hostfile "$scratch/hosts" -n 2 --map-by node --mca plm_rsh_agent "$scratch/agent" --mca pml ob1 --mca btl tcp,self \
  --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 "$fnlm" "${arguments[@]}" --run "$scratch/two" >/dev/null
echo "2 ranks, $rate, delay $delay: $(median "$scratch/two") s a step"
cmp "$scratch/one/model/model.safetensors" "$scratch/two/model/model.safetensors" && echo "the same bytes"
