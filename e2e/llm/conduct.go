package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

var conductCases = []testCase{
	{"models", func(s *session) string {
		resp, err := http.Get(s.url + "/v1/models")
		if err != nil {
			panic(err)
		}
		defer resp.Body.Close()
		var list struct{ Data []struct{ ID string } }
		if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
			panic(err)
		}
		s.check(len(list.Data) == 1 && list.Data[0].ID == modelName, "models %v", list.Data)
		return modelName
	}},
	{"parallel-streams", func(s *session) string {
		const n = 8
		sessions := make([]session, n)
		var wg sync.WaitGroup
		start := time.Now()
		for i := range sessions {
			sessions[i] = session{ctx: s.ctx, url: s.url}
			wg.Go(func() {
				defer func() {
					if p := recover(); p != nil {
						sessions[i].check(false, "%v", p)
					}
				}()
				a := sessions[i].ask(object{"input": fmt.Sprintf("Write about the number %d.", i), "max_output_tokens": 60, "stream": true})
				sessions[i].check(a.text() != "", "no text: %s", a.body)
			})
		}
		wg.Wait()
		for _, one := range sessions {
			s.problems = append(s.problems, one.problems...)
			s.input += one.input
			s.output += one.output
		}
		s.seconds = time.Since(start).Seconds()
		return fmt.Sprintf("%d streams at once", n)
	}},
	{"client-gone", func(s *session) string {
		ctx, leave := context.WithCancel(s.ctx)
		defer leave()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/responses", strings.NewReader(
			`{"model":"/mnt/models","input":"Count up.","stream":true,"max_output_tokens":3000,"ignore_eos":true}`))
		if err != nil {
			panic(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			panic(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "event: response.output_text.delta") {
		}
		s.check(s.running() == 1, "%v requests run in vLLM while the client reads", s.running())
		leave()
		start := time.Now()
		for s.running() != 0 && time.Since(start) < 10*time.Second {
			time.Sleep(20 * time.Millisecond) // vLLM announces nothing: its metrics are all there is
		}
		took := time.Since(start)
		s.check(took < 2*time.Second, "vLLM still generated %s after the client had left", took)
		return fmt.Sprintf("generation ended after %d ms", took.Milliseconds())
	}},
}

// running is the number of requests that vLLM works on, by its metrics.
func (s *session) running() float64 {
	resp, err := http.Get(s.model + "/metrics")
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "vllm:num_requests_running{") {
			fields := strings.Fields(line)
			n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err != nil {
				panic(err)
			}
			return n
		}
	}
	panic("vLLM's metrics have no vllm:num_requests_running")
}
