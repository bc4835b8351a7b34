// Package chats has chats of which every turn is checked, and the servers that keep
// them: for tests in which servers and databases die.
package chats

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Chat is what a client knows of one: its last response, and what was said.
type Chat struct {
	Last string   // the id of the last response that was told; "": there is none
	Said []string // by turns the user and the model
}

// Told is an answer that was read to its end: whole, or to the last event of a stream.
type Told struct {
	ID       string
	Resource string   // as it was told
	Said     []string // all of the chat, with this turn
}

// Refused is a request that was not answered with a response.
type Refused struct {
	Status int
	Body   string
}

func (e *Refused) Error() string { return fmt.Sprintf("%d %s", e.Status, e.Body) }

// Failed is a response that says that it has failed.
type Failed struct{ Code, Resource string }

func (e *Failed) Error() string { return "the response has failed: " + e.Resource }

// Cut is that no whole answer came.
type Cut struct{ Err error }

func (e *Cut) Error() string { return "the answer did not come: " + e.Err.Error() }

// Mixed is that the model got another chat than the client knows.
type Mixed struct{ Said, Heard []string }

func (e *Mixed) Error() string {
	return fmt.Sprintf("the chat is %q, the model got %q", e.Said, e.Heard)
}

// Broken reports whether no whole answer came, and nothing worse.
func Broken(err error) bool {
	cut := (*Cut)(nil)
	return errors.As(err, &cut)
}

// Wrong reports whether another chat than this one went on.
func Wrong(err error) bool {
	mixed := (*Mixed)(nil)
	return errors.As(err, &mixed)
}

// Unavailable reports whether a server has said that it cannot reach its store: with a
// status before it answers, or with how the answer ends.
func Unavailable(err error) bool {
	const code = "state_unavailable"
	refused, failed := (*Refused)(nil), (*Failed)(nil)
	return errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable && strings.Contains(refused.Body, `"`+code+`"`) ||
		errors.As(err, &failed) && failed.Code == code
}

// Send says something more, and expects that the model gets all that was said before.
// The chat stays as it was; Go takes the turn into it.
func (c *Chat) Send(client *http.Client, url string, model *Model, what string, stream bool) (*Told, error) {
	more := ""
	if c.Last != "" {
		more = fmt.Sprintf(`,"previous_response_id":%q`, c.Last)
	}
	resp, err := client.Post(url+"/v1/responses", "application/json", strings.NewReader(fmt.Sprintf(`{"model":"m","input":%q,"stream":%t%s}`, what, stream, more)))
	if err != nil {
		return nil, &Cut{err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, &Cut{err}
		}
		return nil, &Refused{resp.StatusCode, string(body)}
	}
	resource, err := whole(resp.Body, stream)
	if err != nil {
		return nil, &Cut{err}
	}
	var got struct {
		ID, Status string
		Error      struct{ Code string }
		Output     []struct{ Content []struct{ Text string } }
	}
	if err := json.Unmarshal(resource, &got); err != nil {
		return nil, fmt.Errorf("%w: %s", err, resource)
	}
	switch {
	case got.Status == "failed":
		return nil, &Failed{got.Error.Code, string(resource)}
	case got.Status != "completed" || len(got.Output) != 1:
		return nil, fmt.Errorf("this is no answer of the model: %s", resource)
	}
	said := append(c.Said[:len(c.Said):len(c.Said)], what)
	if heard := model.heardBefore(what); strings.Join(heard, "\n") != strings.Join(said, "\n") {
		return nil, &Mixed{said, heard}
	}
	return &Told{got.ID, string(resource), append(said, got.Output[0].Content[0].Text)}, nil
}

// Go goes on from an answer.
func (c *Chat) Go(on *Told) { c.Last, c.Said = on.ID, on.Said }

// whole is the resource of an answer. What comes after the last event of a stream is read
// too, if it comes: then the connection is used again.
func whole(body io.Reader, stream bool) (resource []byte, err error) {
	if !stream {
		return io.ReadAll(body)
	}
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		var event struct {
			Type     string
			Response json.RawMessage
		}
		if json.Unmarshal([]byte(data), &event) == nil && (event.Type == "response.completed" || event.Type == "response.failed") {
			_, _ = io.Copy(io.Discard, body)
			return event.Response, nil
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

// Read expects that an answer can be read again as it was told.
func Read(client *http.Client, url string, told *Told) error {
	resp, err := client.Get(url + "/v1/responses/" + told.ID)
	if err != nil {
		return &Cut{err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return &Cut{err}
	case resp.StatusCode != http.StatusOK:
		return &Refused{resp.StatusCode, string(body)}
	case string(body) != told.Resource:
		return fmt.Errorf("told was %s, and read again it is %s", told.Resource, body)
	}
	return nil
}
