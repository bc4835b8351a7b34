package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answer is a whole answer.
type answer struct {
	status int
	header http.Header
	body   string
	last   bool // of its connection
}

func read(t *testing.T, resp *http.Response, err error) answer {
	t.Helper()
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header, string(body), resp.Close}
}

func get(t *testing.T, url string) answer {
	t.Helper()
	resp, err := http.Get(url)
	return read(t, resp, err)
}

func post(t *testing.T, url, body string) answer {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	return read(t, resp, err)
}

// code is the code of an error of the API; the answer must be one.
func (a answer) code(t *testing.T) string {
	t.Helper()
	require.Equal(t, "application/json", a.header.Get("Content-Type"), a.body)
	var body struct {
		Error *struct {
			Message, Type, Code string
			Param               any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &body), a.body)
	require.NotNil(t, body.Error, a.body)
	require.NotEmpty(t, body.Error.Message)
	require.NotEmpty(t, body.Error.Type)
	require.NotContains(t, a.body, "127.0.0.1", "an address must not get out")
	return body.Error.Code
}

// raw sends bytes as they are over a connection of its own and reads one answer.
func raw(t *testing.T, url, request string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	return read(t, resp, err)
}

// postSlowly begins a request whose body stops on its way. What it returns sends
// the rest and reads the answer.
func postSlowly(t *testing.T, url, body string) (finish func() answer) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /v1/responses HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:9])
	require.NoError(t, err)
	return func() answer {
		t.Helper()
		_, err := io.WriteString(conn, body[9:])
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return read(t, resp, err)
	}
}

// stream is a streamed answer whose first event has come.
type stream struct {
	resp *http.Response
	rest *bufio.Reader
}

func openStream(t *testing.T, client *http.Client, url, input string) *stream {
	t.Helper()
	resp, err := client.Post(url+"/v1/responses", "application/json", strings.NewReader(fmt.Sprintf(`{"input":%q,"stream":true}`, input)))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	s := &stream{resp, bufio.NewReader(resp.Body)}
	line, err := s.rest.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "event: response.created\n", line)
	return s
}

// end reads the stream to its end and says what is wrong with it, "" when it is
// whole.
func (s *stream) end() string {
	defer s.resp.Body.Close()
	text, err := io.ReadAll(s.rest)
	switch {
	case err != nil:
		return fmt.Sprintf("cut after %d bytes: %v", len(text), err)
	case !bytes.HasSuffix(text, []byte("data: [DONE]\n\n")):
		return "ends without [DONE]"
	}
	return ""
}

// newClient has connections of its own.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
