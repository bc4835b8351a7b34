package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"antwort/e2e/child"
)

// A tenant that floods is refused by its limit, and is to cost another one nothing. The
// quiet tenant asks at a steady pace, alone and beside the flood in turn; the model takes
// tens of milliseconds for each answer, as one does. Both clients are processes of their
// own: the flood's is this program, started with -flood.
const (
	quietRate   = 100  // requests a second
	floodRate   = 1000 // likewise
	floodAnswer = "mock: tokens=8 delay=5ms"
)

// flooded are who stands between the tenants and the model.
var flooded = []struct{ name, command, filter string }{
	{"server, flooded", "serve", ""},
	{"antwort envoy inline, flooded", "envoy", "inline"},
	{"antwort envoy gated, flooded", "envoy", "gated"},
}

// limitedTiers starts them: the flood's tenant may ask once a second.
func (s *stage) limitedTiers(llm target) (all []target, err error) {
	for _, f := range flooded {
		if !s.only.has(f.name) || f.command == "envoy" && s.envoy == "" {
			continue
		}
		t, err := s.configured(f.name, f.command, func(port int) string {
			config := fmt.Sprintf("server: {host: 127.0.0.1, port: %d}\nengine: {provider: vllm, backend_url: %s}\nstate: {type: none}\nobservability: {log: {level: warn}}\n"+
				"auth:\n  type: api_key\n  api_keys:\n  - {sha256: %x, subject: quiet, tenant: quiet}\n  - {sha256: %x, subject: flood, tenant: flood}\n"+
				"limits:\n  rules:\n  - {name: flood, per: [tenant], match: {tenants: [flood]}, requests_per_minute: 60}\n  - {name: tenants, per: [tenant], requests_per_minute: 1000000}\n",
				port, llm.url, sha256.Sum256([]byte("quiet")), sha256.Sum256([]byte("flood")))
			if f.command == "envoy" {
				config += "filter: {profile: " + f.filter + "}\n"
			}
			return config
		})
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// floods measures them, in as many rounds, and prints a row for each.
func floods(ctx context.Context, targets []target, rounds, scale int) error {
	each := 4 * time.Second * time.Duration(scale)
	fmt.Printf("\nflood (a tenant asks %d times a second, and another one %d times, alone and meanwhile; %d × %s each)\n\n", floodRate, quietRate, rounds, each)
	fmt.Printf("| %-29s | %9s | %9s | %13s | %13s | %8s | %11s |\n", "", "p50 alone", "p99 alone", "p50 meanwhile", "p99 meanwhile", "refused", "CPU/refusal")
	fmt.Println("|-------------------------------|----------:|----------:|--------------:|--------------:|---------:|------------:|")
	for _, t := range targets {
		var alone, beside vegeta.Metrics
		var flood floodResult
		var cpuAlone, cpuBeside time.Duration
		quietly(t, time.Second, new(vegeta.Metrics)) // warm up
		for range rounds {
			if err := ctx.Err(); err != nil {
				return err
			}
			before := cpu(t.pids)
			quietly(t, each, &alone)
			cpuAlone += cpu(t.pids) - before

			before = cpu(t.pids)
			f, err := startFlood(ctx, t, each+time.Second)
			if err != nil {
				return err
			}
			quietly(t, each, &beside)
			one, err := f()
			if err != nil {
				return err
			}
			cpuBeside += cpu(t.pids) - before
			flood.add(one)
		}
		alone.Close()
		beside.Close()
		for _, m := range []*vegeta.Metrics{&alone, &beside} {
			if m.Success < 1 {
				return fmt.Errorf("%s: the quiet tenant was refused, or failed: %v %v", t.name, m.StatusCodes, m.Errors)
			}
		}
		refusals := time.Duration(max(1, flood.Refused))
		fmt.Printf("| %-29s | %9s | %9s | %13s | %13s | %8d | %11s |\n", t.name,
			alone.Latencies.P50.Round(10*time.Microsecond), alone.Latencies.P99.Round(10*time.Microsecond),
			beside.Latencies.P50.Round(10*time.Microsecond), beside.Latencies.P99.Round(10*time.Microsecond),
			flood.Refused, max(0, (cpuBeside-cpuAlone)/refusals).Round(time.Microsecond))
		if flood.Passed > (rounds+1)*60 || flood.Other > 0 {
			return fmt.Errorf("%s: of the flood %d passed and %d failed otherwise", t.name, flood.Passed, flood.Other)
		}
	}
	return nil
}

// quietly is the quiet tenant's client.
func quietly(t target, during time.Duration, m *vegeta.Metrics) {
	asks(t, "quiet", quietRate, during, func(r *vegeta.Result) { m.Add(r) })
}

func asks(t target, key string, rate int, during time.Duration, seen func(*vegeta.Result)) {
	t.credential = key
	w := workload{text: floodAnswer}
	path, body := w.request(t)
	targeter := vegeta.NewStaticTargeter(vegeta.Target{Method: "POST", URL: t.url + path, Body: body, Header: t.header()})
	attacker := vegeta.NewAttacker(vegeta.Workers(16), vegeta.MaxWorkers(256), vegeta.Connections(256), vegeta.KeepAlive(true), vegeta.Timeout(time.Minute))
	for one := range attacker.Attack(targeter, vegeta.ConstantPacer{Freq: rate, Per: time.Second}, during, key) {
		seen(one)
	}
}

// floodResult is what became of a flood.
type floodResult struct{ Refused, Passed, Other int }

func (f *floodResult) add(more floodResult) {
	f.Refused += more.Refused
	f.Passed += more.Passed
	f.Other += more.Other
}

// startFlood begins one in a process of its own and returns when its first answer has
// come. The result comes when it is over.
func startFlood(ctx context.Context, t target, during time.Duration) (func() (floodResult, error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-flood", t.url, "-during", during.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = child.Start(cmd)
	}
	if err != nil {
		return nil, err
	}
	said := json.NewDecoder(out)
	var f floodResult
	if err := said.Decode(&f); err != nil {
		return nil, fmt.Errorf("the flood did not begin: %w", err)
	}
	return func() (floodResult, error) {
		err := said.Decode(&f)
		if waited := cmd.Wait(); err == nil {
			err = waited
		}
		return f, err
	}, nil
}

// flood is the client that floods. It says what has come of it, when the first answer is
// there and at its end.
func flood(w io.Writer, url string, during time.Duration) error {
	var f floodResult
	says, begun := json.NewEncoder(w), false
	var failed error
	asks(target{url: url}, "flood", floodRate, during, func(r *vegeta.Result) {
		switch r.Code {
		case 200:
			f.Passed++
		case 429:
			f.Refused++
		default:
			f.Other++
		}
		if !begun {
			begun, failed = true, says.Encode(f)
		}
	})
	if failed != nil {
		return failed
	}
	return says.Encode(f)
}
