package corpus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Access are the cases of shared/policy/testdata/access.json: who may call, and
// what the upstream is told about it. The same requests go to the policy
// itself, to the server and to the filter.
type Access struct {
	Auth  json.RawMessage // section auth of the configuration
	Cases []AccessCase
}

// An AccessCase is a request and what becomes of it. With status 200 it reaches
// the upstream with the identity of the caller and without the credential, else
// it does not reach it.
type AccessCase struct {
	Name   string
	Method string // POST when empty
	Target string // /v1/responses when empty
	Header [][2]string
	Body   string
	Only   string // provider, when the other one decides in another way

	Status          int
	Envoy           int    // Status in real Envoy, where it differs: Envoy takes away what Connection names
	Code, Param     string // of the error
	Subject, Tenant string // of the caller
}

// LoadAccess returns the cases.
func LoadAccess() (*Access, error) {
	all := new(Access)
	if err := loadPolicy("access.json", all); err != nil {
		return nil, err
	}
	for i := range all.Cases {
		all.Cases[i].complete()
	}
	return all, nil
}

// loadPolicy reads a file of cases of package policy.
func loadPolicy(name string, all any) error {
	root, err := folder("policy/testdata")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(all); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// complete fills in what is left out.
func (c *AccessCase) complete() {
	if c.Method == "" {
		c.Method = http.MethodPost
	}
	if c.Target == "" {
		c.Target = "/v1/responses"
	}
	if c.Envoy == 0 {
		c.Envoy = c.Status
	}
}

// Values are those of one header field, in the request's order.
func (c *AccessCase) Values(name string) (values []string) {
	for _, field := range c.Header {
		if strings.EqualFold(field[0], name) {
			values = append(values, field[1])
		}
	}
	return values
}

// Wire is the request as bytes of HTTP/1.1, which clients of the library would
// put in order. Its body is JSON unless the header says something else.
func (c *AccessCase) Wire(host string) []byte {
	var b bytes.Buffer
	b.WriteString(c.Method + " " + c.Target + " HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, field := range c.Header {
		b.WriteString(field[0] + ": " + field[1] + "\r\n")
	}
	if c.Body != "" || c.Method == http.MethodPost {
		if c.Values("content-type") == nil {
			b.WriteString("Content-Type: application/json\r\n")
		}
		b.WriteString("Content-Length: " + strconv.Itoa(len(c.Body)) + "\r\n")
	}
	b.WriteString("\r\n" + c.Body)
	return b.Bytes()
}
