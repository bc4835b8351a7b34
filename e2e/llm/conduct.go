package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"antwort/e2e/chain"
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
	{"overhead", func(s *session) string {
		const n = 7
		var direct, through []float64
		for range n {
			start := time.Now()
			resp, err := http.Post(s.model+"/v1/chat/completions", "application/json", strings.NewReader(
				fmt.Sprintf(`{"model":%q,"temperature":0,"messages":[{"role":"user","content":%q}]}`, modelName, capital)))
			if err != nil {
				panic(err)
			}
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err != nil {
				panic(err)
			}
			direct = append(direct, time.Since(start).Seconds())
			before := s.seconds
			s.ask(object{"input": capital})
			through = append(through, s.seconds-before)
		}
		slices.Sort(direct)
		slices.Sort(through)
		s.check(through[n/2] < 1.5*direct[n/2], "the chain takes %.3f s, vLLM alone %.3f s", through[n/2], direct[n/2])
		return fmt.Sprintf("median of %d: %.3f s, vLLM alone %.3f s", n, through[n/2], direct[n/2])
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
	{"vllm-own-responses", func(s *session) string {
		// vLLM's own Responses API behind one tier that forwards: what comes is vLLM's, event by event.
		opt := s.options
		opt.Tiers, opt.Forward, opt.Dir = opt.Tiers[:1], true, filepath.Join(opt.Dir, "forward")
		c, err := chain.Start(s.ctx, opt)
		if err != nil {
			panic(err)
		}
		defer func() {
			if err := c.Stop(); err != nil {
				s.check(false, "%v", err)
			}
		}()
		s.foreign = true
		direct := s.askAt(s.model, object{"input": capital, "stream": true})
		through := s.askAt(c.BaseURL, object{"input": capital, "stream": true})
		s.check(through.text() == direct.text() && through.text() != "", "text %q, without antwort %q", through.text(), direct.text())
		// How many tokens a delta has is a matter of time.
		events, without := slices.Compact(through.names()), slices.Compact(direct.names())
		s.check(slices.Equal(events, without), "events %v, without antwort %v", events, without)
		whole := s.askAt(c.BaseURL, object{"input": capital})
		s.check(whole.text() == direct.text(), "whole: %q", whole.text())
		return fmt.Sprintf("%d events, the same with and without antwort", len(through.events))
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
