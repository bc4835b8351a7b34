#!/usr/bin/env bash
# Quickstart 06 on this machine, without a cluster: frontend → backend → LLM on
# loopback.
#   local.sh demo    start the chain on free ports, run the quickstart's two requests, stop it
#   local.sh run     start the chain and leave it running until Ctrl-C, the frontend on port 8080 if it is free
# PORT=…            the port of the frontend, with run
# LLM_URL=http://…  uses that Chat Completions server instead of mock-llm
# MODEL=…           its model name (default /mnt/models)
# ENVOY=path        runs the frontend as Envoy with the filter; so does an
#                   envoy on the PATH. ENVOY=none uses the native server.
set -euo pipefail
cd "$(dirname "$0")/../.."
antwort=${ANTWORT:-bin/antwort}
model=${MODEL:-/mnt/models}
mode=${1:-demo}

fail() { echo "demo: $*" >&2; exit 1; }
for tool in curl jq; do
  command -v $tool >/dev/null || fail "$tool is missing: install it (Debian: apt-get install $tool) and run this again"
done
[ -x "$antwort" ] || fail "$antwort is missing: run make build first"

envoy=${ENVOY:-$(command -v envoy || true)}
[ "$envoy" != none ] || envoy=

dir=$(mktemp -d)
pids=()
stop() {
  trap - EXIT INT TERM HUP
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do kill "${pids[i]}" 2>/dev/null && wait "${pids[i]}" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Linux ends what this script has started with it, even if it is killed: before it was asked to, a start sees that its parent is another.
with_us=(setpriv --pdeathsig TERM sh -c '[ $PPID = $0 ] && exec "$@"' $$)
"${with_us[@]}" true 2>/dev/null || with_us=()

# free_port prints a loopback port that nothing listens on.
free_port() {
  local port
  for _ in {1..50}; do
    port=$((20000 + RANDOM % 12000))
    taken $port || { echo $port; return; }
  done
  fail "found no free port"
}

# taken PORT succeeds when something listens there.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# start NAME URL COMMAND… runs a tier and waits until URL answers.
start() {
  local name=$1 url=$2
  shift 2
  ${with_us[@]+"${with_us[@]}"} "$@" >"$dir/$name.log" 2>&1 &
  pids+=($!)
  for _ in {1..300}; do
    if curl -sf -o /dev/null "$url"; then return; fi
    kill -0 ${pids[-1]} 2>/dev/null || break
    sleep 0.1
  done
  echo "demo: the $name did not become ready; its log:" >&2
  tail -n 20 "$dir/$name.log" >&2
  exit 1
}

tier() { # tier NAME PORT PROVIDER UPSTREAM [ADMIN_PORT]
  cat >"$dir/$1.yaml" <<YAML
server: {host: 127.0.0.1, port: $2, admin: {port: ${5:-0}}}
engine:
  provider: $3
  backend_url: $4
YAML
}

llm=${LLM_URL:-}
if [ -z "$llm" ]; then
  port=$(free_port)
  llm=http://127.0.0.1:$port
  start mock-llm "$llm/v1/models" "$antwort" mock-llm --port "$port" --model "$model"
  llm_name="mock-llm"
else
  llm_name="the LLM"
fi

backend_port=$(free_port)
backend=http://127.0.0.1:$backend_port
admin_port=$(free_port)
tier backend "$backend_port" vllm "$llm" "$admin_port"
start backend "$backend/readyz" "$antwort" serve --config "$dir/backend.yaml"

if [ "$mode" != run ]; then
  frontend_port=$(free_port)
elif [ -n "${PORT:-}" ]; then
  frontend_port=$PORT
  ! taken "$frontend_port" || fail "port $frontend_port is taken: choose another PORT"
elif taken 8080; then
  frontend_port=$(free_port)
else
  frontend_port=8080
fi
frontend=http://127.0.0.1:$frontend_port
tier frontend "$frontend_port" vllm-responses "$backend"
if [ -n "$envoy" ]; then
  frontend_name="Envoy + filter ($envoy)"
  echo "Starting Envoy as the frontend: it compiles the filter first, which takes some seconds …"
  start frontend "$frontend/readyz" "$antwort" envoy --config "$dir/frontend.yaml" --envoy "$envoy"
else
  frontend_name="antwort serve"
  start frontend "$frontend/readyz" "$antwort" serve --config "$dir/frontend.yaml"
fi

cat <<TEXT

  User ──► Frontend ──────────► Backend ─────────► LLM
           vllm-responses       vllm
           $frontend
                                $backend
                                                   $llm ($llm_name)
  The frontend is $frontend_name.

TEXT

question='{
  "model": "'"$model"'",
  "input": [
    {
      "type": "message",
      "role": "user",
      "content": [{"type": "input_text", "text": "What is the capital of France? Answer in one sentence."}]
    }
  ]
}'

if [ "$mode" = run ]; then
  cat <<TEXT
Try it from another terminal:

  curl -s $frontend/v1/responses -H 'Content-Type: application/json' \\
    -d '{"model": "$model", "input": "What is the capital of France? Answer in one sentence."}' | jq

  curl -sN $frontend/v1/responses -H 'Content-Type: application/json' \\
    -d '{"model": "$model", "input": "Count from 1 to 5.", "stream": true}'

A second turn, which sends its own words only:

  id=\$(curl -s $frontend/v1/responses -H 'Content-Type: application/json' -d '{"model": "$model", "input": "Say hello."}' | jq -r .id)
  curl -s $frontend/v1/responses -H 'Content-Type: application/json' \\
    -d '{"model": "$model", "previous_response_id": "'\$id'", "input": "And again?"}' | jq -r '.output[0].content[0].text'

From Python:

  OPENAI_BASE_URL=$frontend/v1 OPENAI_API_KEY=none python -c '
  from openai import OpenAI
  print(OpenAI().responses.create(model="$model", input="Say hello.").output_text)'

The console, which shows what the backend does and why:

  http://127.0.0.1:$admin_port/console

Logs: $dir/*.log
Stop it with Ctrl-C.
TEXT
  if [ "$frontend_port" != 8080 ] && [ -z "${PORT:-}" ]; then
    printf '\nNOTE: port 8080 is taken on this machine: the frontend listens on %s instead. Write that port where the README says 8080.\n' "$frontend_port"
  fi
  if [ -z "${LLM_URL:-}" ]; then
    printf '\nNOTE: mock-llm is a stand-in for a model. It answers "I received …" and what it received; LLM_URL=http://… asks a real model.\n'
  fi
  wait -n "${pids[@]}" || true
  fail "a tier has ended; the last lines of the logs: $(tail -n 3 "$dir"/*.log)"
fi

echo "1. What is the capital of France? (through the chain)"
curl -s -X POST "$frontend/v1/responses" -H "Content-Type: application/json" -d "$question" >"$dir/answer.json"
jq '{status: .status, answer: .output[0].content[0].text}' "$dir/answer.json"
jq -e '.status == "completed"' "$dir/answer.json" >/dev/null || fail "the answer is not complete: $(cat "$dir/answer.json")"

echo
echo "2. Count from 1 to 5 (streamed through the chain)"
curl -s -N -X POST "$frontend/v1/responses" -H "Content-Type: application/json" -d '{
  "model": "'"$model"'",
  "stream": true,
  "input": [
    {
      "type": "message",
      "role": "user",
      "content": [{"type": "input_text", "text": "Count from 1 to 5."}]
    }
  ]
}' | tee "$dir/events.sse" | sed -n 's/^event: \(.*\)/  \1/p; s/^data: \[DONE\]/  [DONE]/p'
echo "  text: $(sed -n 's/^data: {/{/p' "$dir/events.sse" | jq -r 'select(.type == "response.output_text.done").text')"

echo
"$antwort" check-stream "$dir/events.sse" || fail "the stream is not valid"
grep -q '^event: response.completed' "$dir/events.sse" || fail "the stream did not complete"
echo "demo: both answers came through the chain; stopping it."
