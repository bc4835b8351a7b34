package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"antwort/shared/streamcheck"
)

// disk makes a volume for a claim: the cluster has no provisioner. It is a folder
// of the node, with the group that a pod asks for.
func disk(t *testing.T, claim string) {
	t.Helper()
	path, err := filepath.EvalSymlinks(filepath.Dir(kubeconfig))
	if err != nil {
		t.Fatal(err)
	}
	if path, err = os.MkdirTemp(path, "disk"); err != nil {
		t.Fatal(err)
	}
	// As a new disk is: root's, and nobody else's.
	volume := fmt.Sprintf(`{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":%q},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],
		"persistentVolumeReclaimPolicy":"Retain","local":{"path":%q},"claimRef":{"namespace":"antwort","name":%[1]q},
		"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["node"]}]}]}}}}`, claim, path)
	cmd := exec.Command("kubectl", "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(volume)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { // after the claim
		kubectl(t, "delete", "persistentvolume", claim, "--timeout=60s")
		if err := os.RemoveAll(path); err != nil {
			t.Error(err)
		}
	})
}

// namespace makes the namespace antwort if it is not there, and removes its
// secrets in the end.
func namespace(t *testing.T) {
	t.Helper()
	if _, err := try("get", "namespace", "antwort"); err != nil {
		kubectl(t, "create", "namespace", "antwort")
	}
	t.Cleanup(func() { kubectl(t, "delete", "secrets", "--all", "-n", "antwort") })
}

// chat is a conversation of which each turn sends its own words only. The model
// tells all that it received, so that a lost turn shows.
type chat struct {
	name  string
	turns int
	last  string
	told  map[string]string // each response as it was told, by its id
}

// answered is a response.
type answered struct {
	ID, Status string
	Output     []struct{ Content []struct{ Text string } }
}

// say has one turn, streamed every second time. Statuses that are not 200 are an
// error, and change nothing: it can be said again.
func (c *chat) say(url string) error {
	body := fmt.Sprintf(`{"model":"/mnt/models","input":"%s says %d","stream":%t`, c.name, c.turns, c.turns%2 == 1)
	if c.last != "" {
		body += `,"previous_response_id":"` + c.last + `"`
	}
	status, text, err := post(url, body+"}")
	if err != nil || status != 200 {
		return fmt.Errorf("turn %d of %s: status %d, %v: %s", c.turns, c.name, status, err, text)
	}
	if c.turns%2 == 1 {
		if problems := streamcheck.Check(strings.NewReader(text)); len(problems) > 0 {
			return fmt.Errorf("turn %d of %s: %v", c.turns, c.name, problems)
		}
		_, text, _ = strings.Cut(text[strings.LastIndex(text, "\ndata: {"):], `"response":`)
		text = strings.TrimSuffix(text, "}\n\ndata: [DONE]\n\n")
	}
	var r answered
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.Status != "completed" {
		return fmt.Errorf("turn %d of %s: %v: %s", c.turns, c.name, err, text)
	}
	for turn := range c.turns + 1 {
		if want := fmt.Sprintf(`%d user: "%s says %d"`, 2*turn+1, c.name, turn); !strings.Contains(r.Output[0].Content[0].Text, want) {
			return fmt.Errorf("turn %d of %s: the model did not receive %s, but: %s", c.turns, c.name, want, text)
		}
	}
	c.turns, c.last = c.turns+1, r.ID
	c.told[r.ID] = text
	return nil
}

// has finds all that was told as it was told.
func (c *chat) has(url string) error {
	for id, told := range c.told {
		resp, err := http.Get(url + "/v1/responses/" + id)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(text) != told {
			return fmt.Errorf("%s of %s: %s, %v: %s, was told as %s", id, c.name, resp.Status, err, text, told)
		}
	}
	return nil
}

func chats(n int) []*chat {
	all := make([]*chat, n)
	for i := range all {
		all[i] = &chat{name: fmt.Sprintf("user %d", i), told: map[string]string{}}
	}
	return all
}

// talk has all chats at once go on until stopped, and then for two turns more. A
// turn that fails is counted; said again for a minute it must succeed.
func talk(t *testing.T, all []*chat, url string) (stop func() (failed int64, first error)) {
	done := make(chan struct{})
	var failed atomic.Int64
	var first atomic.Pointer[error]
	var running sync.WaitGroup
	for _, c := range all {
		running.Go(func() {
			after := 0
			for since := time.Now(); after < 2; {
				select {
				case <-done:
					after++
				default:
					time.Sleep(500 * time.Millisecond) // a user reads
				}
				err := c.say(url)
				if err == nil {
					since = time.Now()
					continue
				}
				failed.Add(1)
				first.CompareAndSwap(nil, &err)
				if after = 0; time.Since(since) > time.Minute {
					t.Errorf("for a minute: %v", err)
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	return func() (int64, error) {
		close(done)
		running.Wait()
		for _, c := range all {
			if err := c.has(url); err != nil {
				t.Error(err)
			}
		}
		if p := first.Load(); p != nil {
			return failed.Load(), *p
		}
		return 0, nil
	}
}

func turns(all []*chat) (n int) {
	for _, c := range all {
		n += c.turns
	}
	return n
}

// A backend with a volume forgets nothing when its pod is replaced, in order or not.
func TestKeptOnAVolume(t *testing.T) {
	llm(t)
	namespace(t)
	disk(t, "antwort-backend-state")
	deploy(t, "quickstarts/06-responses-proxy/sqlite", "antwort", "antwort-backend", "antwort-frontend")
	url := service(t, "antwort", "antwort-frontend")
	works(t, url)
	secondTurn(t, url)
	for name, replace := range map[string]func(){
		"restarted": func() { kubectl(t, "rollout", "restart", "-n", "antwort", "deployment/antwort-backend") },
		"killed": func() {
			kubectl(t, "delete", "pod", "-n", "antwort", "-l", "app.kubernetes.io/name=antwort-backend", "--grace-period=0", "--force", "--wait=false")
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := chats(8)
			for _, c := range all {
				if err := c.say(url); err != nil {
					t.Fatal(err)
				}
			}
			stop := talk(t, all, url)
			before, start := uids(t, "antwort-backend"), time.Now()
			replace()
			eventually(t, 90*time.Second, func() error {
				if now := uids(t, "antwort-backend"); now == before || strings.Contains(now, " ") {
					return fmt.Errorf("the pods are %s", now)
				}
				return nil
			})
			ready(t, "antwort", "antwort-backend")
			took := time.Since(start)
			failed, first := stop()
			t.Logf("another pod was ready after %.1f s; %d turns of 8 chats, %d tries failed meanwhile, the first: %v", took.Seconds(), turns(all), failed, first)
		})
	}
}

// Two backends share a Postgres: chats go on, at either, while both tiers are
// rolled out, and nothing is lost. When the database goes, they wait for it.
func TestKeptInPostgres(t *testing.T) {
	llm(t)
	namespace(t)
	disk(t, "data-postgres-0")
	t.Cleanup(func() { remove(t, "quickstarts/shared/postgres", "antwort") })
	t.Cleanup(func() {
		kubectl(t, "delete", "-k", "quickstarts/06-responses-proxy/postgres", "-n", "antwort", "--ignore-not-found")
	})
	user := openShell(t)
	start := time.Now()
	user.run(openReadme(t, readme06).blocks(t, "In a Postgres")[0].text)
	ready(t, "antwort", "antwort-frontend")
	t.Logf("the README's commands took %.1f s", time.Since(start).Seconds())
	url := service(t, "antwort", "antwort-frontend")
	works(t, url)
	secondTurn(t, url)

	all := chats(8)
	stop := talk(t, all, url)
	eventually(t, 60*time.Second, func() error { return served(2) })
	start = time.Now()
	for _, d := range []string{"antwort-backend", "antwort-frontend"} {
		kubectl(t, "rollout", "restart", "-n", "antwort", "deployment/"+d)
		ready(t, "antwort", d)
	}
	took := time.Since(start)
	failed, first := stop()
	// A pod that ends says so with its last answers, and answers what has come on
	// connections that it closes: no turn has to be said again. Only one that is on its
	// way when an idle connection closes cannot be told from one that came: HTTP/1.1 has
	// no word for it.
	if failed > 1 || failed > 0 && !strings.Contains(first.Error(), "upstream_closed") {
		t.Errorf("%d turns of %d failed during the rollout, the first: %v", failed, turns(all), first)
	}
	t.Logf("rollout of both tiers in %.1f s under 8 chats of %d turns in all: %d failed", took.Seconds(), turns(all), failed)

	stop = talk(t, all, url)
	kubectl(t, "delete", "pod", "-n", "antwort", "postgres-0", "--grace-period=0", "--force")
	kubectl(t, "rollout", "status", "-n", "antwort", "statefulset/postgres", "--timeout=120s")
	failed, first = stop()
	if failed > 0 && !strings.Contains(first.Error(), "503") && !strings.Contains(first.Error(), "response.failed") {
		t.Errorf("expected 503 or response.failed, got %v", first)
	}
	t.Logf("the database killed: %d tries failed until it was back, the first: %v; now %d turns", failed, first, turns(all))

	look := openReadme(t, "quickstarts/shared/postgres/README.md").blocks(t, "Look")
	var rows int
	if _, err := fmt.Sscan(user.run(look[0].text), &rows); err != nil || rows < turns(all) {
		t.Errorf("%d turns were told, %d are in the database: %v", turns(all), rows, err)
	}
}

// secondTurn runs the README's block of that name.
func secondTurn(t *testing.T, url string) {
	t.Helper()
	user := openShell(t)
	user.run("export URL=" + url)
	got := user.run(openReadme(t, readme06).blocks(t, "A second turn")[0].text)
	if !strings.Contains(got, `"completed"`) || !strings.Contains(got, `"resp_`) {
		t.Errorf("expected a completed response that names the one before, got %s", got)
	}
}

// served finds that this many backends have answered requests.
func served(n int) error {
	pods, err := try("get", "pods", "-n", "antwort", "-l", "app.kubernetes.io/name=antwort-backend", "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		return err
	}
	have := 0
	for _, pod := range strings.Fields(pods) {
		out, err := try("logs", "-n", "antwort", pod, "--tail=100")
		if err != nil {
			return err
		}
		if containsAll(out, []string{`"method":"POST"`, `"status":200`}) {
			have++
		}
	}
	if have != n {
		return fmt.Errorf("%d of %s have answered, want %d", have, pods, n)
	}
	return nil
}

// Each tenant has responses of its own, by the README's own commands.
func TestOwnersApart(t *testing.T) {
	llm(t)
	namespace(t)
	t.Cleanup(func() { remove(t, "quickstarts/06-responses-proxy/owners", "antwort") })
	user := openShell(t)
	user.run(openReadme(t, readme06).blocks(t, "For each tenant apart")[0].text)
	apart(t, user)
}

// The same with a gateway of Istio, whose filter has the keys from its environment.
func TestIstioTellsTenantsApart(t *testing.T) {
	llm(t)
	namespace(t)
	privileged(t, "antwort")
	t.Cleanup(func() { remove(t, "quickstarts/06-responses-proxy/istio-owners", "antwort") })
	user := openShell(t)
	blocks := openReadme(t, readme06).blocks(t, "For each tenant apart")
	secret, _, _ := strings.Cut(blocks[0].text, "kubectl apply")
	user.run(secret)
	user.run(blocks[1].text)
	apart(t, user)
}

// apart runs the README's block of two tenants.
func apart(t *testing.T, user *shell) {
	t.Helper()
	url := service(t, "antwort", "antwort-frontend")
	fails(t, url, 401, "missing_api_key")
	user.run("export URL=" + url)
	blocks := openReadme(t, readme06).blocks(t, "Of two tenants")
	if got := user.run(blocks[0].text); got != strings.TrimSpace(blocks[1].text) {
		t.Errorf("expected %s, got %s", blocks[1].text, got)
	}
	// Whoever reaches the backend without the frontend's key is nobody there.
	if status, body, err := post(service(t, "antwort", "antwort-backend"), capital); err != nil || status != 401 {
		t.Errorf("expected 401 at the backend, got %d %s %v", status, body, err)
	}
}

// What the README's table says of stores is what a user sees.
func TestTroubleOfStores(t *testing.T) {
	llm(t)
	namespace(t)
	t.Run("no volume", func(t *testing.T) {
		forget(t)
		remove := func() { remove(t, "quickstarts/06-responses-proxy/sqlite", "antwort") }
		t.Cleanup(remove)
		kubectl(t, "apply", "-k", "quickstarts/06-responses-proxy/sqlite", "-n", "antwort")
		event(t, "antwort", "antwort-backend", "unbound immediate PersistentVolumeClaims")
		disk(t, "antwort-backend-state")
		t.Cleanup(remove) // the claim goes before its volume
		ready(t, "antwort", "antwort-backend")
	})
	t.Run("no Secret, and no database", func(t *testing.T) {
		forget(t)
		t.Cleanup(func() { remove(t, "quickstarts/06-responses-proxy/postgres", "antwort") })
		kubectl(t, "apply", "-k", "quickstarts/06-responses-proxy/postgres", "-n", "antwort")
		event(t, "antwort", "FailedMount", `MountVolume.SetUp failed for volume "postgres" : secret "antwort-postgres" not found`)
		kubectl(t, "create", "secret", "generic", "antwort-postgres", "-n", "antwort", "--from-literal=dsn=postgres://antwort:none@postgres:5432/antwort?sslmode=disable")
		event(t, "antwort", "Readiness probe failed", "503", "antwort-backend")
		logs(t, "antwort", "antwort-backend", "the store of responses cannot be reached", "lookup postgres")
	})
	t.Run("no keys", func(t *testing.T) {
		forget(t)
		t.Cleanup(func() { remove(t, "quickstarts/06-responses-proxy/owners", "antwort") })
		kubectl(t, "apply", "-k", "quickstarts/06-responses-proxy/owners", "-n", "antwort")
		event(t, "antwort", "FailedMount", `MountVolume.SetUp failed for volume "keys" : secret "antwort-keys" not found`)
		user := openShell(t)
		user.run(openReadme(t, readme06).blocks(t, "For each tenant apart")[0].text)
	})
}
