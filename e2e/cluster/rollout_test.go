package cluster

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"antwort/shared/streamcheck"
)

// stream reads a streamed answer of that many tokens and says what is wrong
// with it; started is closed at its first event.
func stream(url string, tokens int, delay time.Duration, started chan<- struct{}) error {
	return streamTo("response.completed", url, tokens, delay, started)
}

// streamTo is stream with another terminal event.
func streamTo(terminal, url string, tokens int, delay time.Duration, started chan<- struct{}) error {
	body := fmt.Sprintf(`{"model":"/mnt/models","stream":true,"input":"mock: tokens=%d delay=%s"}`, tokens, delay)
	client := &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(url+"/v1/responses", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	var check streamcheck.Checker
	r := bufio.NewReader(resp.Body)
	for first := true; ; first = false {
		line, err := r.ReadBytes('\n')
		if first && err == nil {
			close(started)
		}
		check.Write(line)
		if err != nil {
			break
		}
	}
	if problems := check.Close(); len(problems) > 0 {
		return fmt.Errorf("%v", problems[0])
	}
	if check.Count(terminal) != 1 {
		return fmt.Errorf("the stream did not end with %s", terminal)
	}
	return nil
}

// A new version of both tiers arrives while 32 answers are streamed and other
// requests come: nobody notices.
func TestRolloutCutsNoStream(t *testing.T) {
	llm(t)
	deploy(t, "quickstarts/06-responses-proxy/base", "antwort", "antwort-backend", "antwort-frontend")
	url := service(t, "antwort", "antwort-frontend")
	works(t, url)

	const streams = 32
	results := make(chan error, streams)
	var begun sync.WaitGroup
	for range streams {
		started := make(chan struct{})
		begun.Add(1)
		go func() { results <- stream(url, 120, 150*time.Millisecond, started) }()
		go func() { <-started; begun.Done() }()
	}
	begun.Wait()

	var sent, refused atomic.Int64
	var others sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() {
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				sent.Add(1)
				if status, body, err := post(url, capital); err != nil || status != 200 {
					refused.Add(1)
					t.Errorf("a request during the rollout: status %d, %v: %s", status, err, body)
				}
			}
		}
	})
	start := time.Now()
	for _, d := range []string{"antwort-backend", "antwort-frontend"} {
		kubectl(t, "rollout", "restart", "-n", "antwort", "deployment/"+d)
	}
	ready(t, "antwort", "antwort-backend", "antwort-frontend")
	took := time.Since(start)
	for range streams {
		if err := <-results; err != nil {
			t.Errorf("a stream during the rollout: %v", err)
		}
	}
	close(stop)
	others.Wait()
	t.Logf("rollout of both tiers in %.1f s under %d streams of 18 s and %d other requests: %d of these failed", took.Seconds(), streams, sent.Load(), refused.Load())
}

// The backend's pod dies under a stream.
func TestBackendKilled(t *testing.T) {
	llm(t)
	deploy(t, "quickstarts/06-responses-proxy/base", "antwort", "antwort-backend", "antwort-frontend")
	url := service(t, "antwort", "antwort-frontend")
	works(t, url)

	started, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- stream(url, 600, 100*time.Millisecond, started) }()
	<-started
	killed := time.Now()
	kubectl(t, "delete", "pod", "-n", "antwort", "-l", "app.kubernetes.io/name=antwort-backend", "--grace-period=0", "--force", "--wait=false")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the stream ended as if nothing had happened")
		}
		t.Logf("the stream ended %.1f s after the kill: %v", time.Since(killed).Seconds(), err)
	case <-time.After(20 * time.Second):
		t.Error("the stream hangs although the backend has gone")
	}
	status, body, err := post(url, capital)
	t.Logf("a request then: %d %s %v", status, strings.TrimSpace(body), err)
	if status != 200 && !strings.Contains(body, `"error"`) {
		t.Errorf("expected an error in the API's form, got %d %q %v", status, body, err)
	}
	works(t, url)
	t.Logf("works again %.1f s after the kill", time.Since(killed).Seconds())
}

// The LLM's pod dies under a stream: the backend is there to end it properly.
func TestLLMKilled(t *testing.T) {
	llm(t)
	deploy(t, "quickstarts/06-responses-proxy/base", "antwort", "antwort-backend", "antwort-frontend")
	url := service(t, "antwort", "antwort-frontend")
	works(t, url)

	started, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- streamTo("response.failed", url, 600, 100*time.Millisecond, started) }()
	<-started
	killed := time.Now()
	kubectl(t, "delete", "pod", "-n", "llm-serving", "--all", "--grace-period=0", "--force", "--wait=false")
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
		t.Logf("the stream ended with response.failed %.1f s after the kill", time.Since(killed).Seconds())
	case <-time.After(20 * time.Second):
		t.Error("the stream hangs although the LLM has gone")
	}
	works(t, url)
	t.Logf("works again %.1f s after the kill", time.Since(killed).Seconds())
}
