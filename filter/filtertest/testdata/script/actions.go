//go:build wasip1

package main

import (
	"sort"
	"strconv"
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// run does the actions, which commas separate, in order.
func (s *stream) run(actions string) {
	if actions == "" {
		return
	}
	for _, action := range strings.Split(actions, ",") {
		name, value, _ := strings.Cut(action, "=")
		switch name {
		case "pause":
			s.action = types.ActionPause
			continue
		case "pausewatermark":
			s.action = 2 // StopIterationAndWatermark, which the SDK has no name for
			continue
		case "arm":
			s.ticks, _ = strconv.Atoi(value)
			s.plugin.waiting[s.id] = s
			continue
		}
		s.log("  " + name + " " + s.act(name, value))
	}
}

// act does one action and says what came of it.
func (s *stream) act(name, value string) string {
	switch name {
	case "read":
		return s.read()
	case "drain":
		return result(s.replace(nil))
	case "replace":
		return result(s.replace([]byte(value)))
	case "fill": // N bytes
		n, _ := strconv.Atoi(value)
		return result(s.replace([]byte(strings.Repeat("x", n))))
	case "append":
		if s.side == 1 {
			return result(proxywasm.AppendHttpResponseBody([]byte(value)))
		}
		return result(proxywasm.AppendHttpRequestBody([]byte(value)))
	case "prepend":
		if s.side == 1 {
			return result(proxywasm.PrependHttpResponseBody([]byte(value)))
		}
		return result(proxywasm.PrependHttpRequestBody([]byte(value)))
	case "reqset", "reqadd", "reqdel", "reqget", "reqnames":
		return s.requestHeader(name[3:], value)
	case "resset", "resadd", "resdel", "resget", "resnames":
		return s.responseHeader(name[3:], value)
	case "trailer":
		if s.side == 1 {
			value, err := proxywasm.GetHttpResponseTrailer(value)
			return result(err) + " " + value
		}
		value, err := proxywasm.GetHttpRequestTrailer(value)
		return result(err) + " " + value
	case "reply":
		code, text, _ := strings.Cut(value, "~")
		status, _ := strconv.Atoi(code)
		return result(proxywasm.SendHttpResponse(uint32(status), [][2]string{{"x-reply", "own"}}, []byte(text), -1))
	case "contreq":
		return result(proxywasm.ResumeHttpRequest())
	case "contres":
		return result(proxywasm.ResumeHttpResponse())
	case "property": // PATH, its parts apart by dots, or by slashes when there are any
		separator := "."
		if strings.Contains(value, "/") {
			separator = "/"
		}
		v, err := proxywasm.GetProperty(strings.Split(value, separator))
		if strings.ContainsFunc(string(v), func(r rune) bool { return r < ' ' || r > '~' }) {
			return result(err) + " " + strconv.QuoteToASCII(string(v))
		}
		return result(err) + " " + string(v)
	case "count":
		proxywasm.DefineCounterMetric(value).Increment(1)
		return "ok"
	case "call":
		return s.call(value)
	case "panic":
		panic("scripted")
	}
	return "unknown action"
}

func (s *stream) replace(b []byte) error {
	if s.side == 1 {
		return proxywasm.ReplaceHttpResponseBody(b)
	}
	return proxywasm.ReplaceHttpRequestBody(b)
}

func (s *stream) read() string {
	get := proxywasm.GetHttpRequestBody
	if s.side == 1 {
		get = proxywasm.GetHttpResponseBody
	}
	b, err := get(0, 1<<30)
	if len(b) > 40 {
		return result(err) + " " + strconv.Itoa(len(b)) + " bytes"
	}
	return result(err) + " " + string(b)
}

// requestHeader: set and add take NAME~VALUE, del and get NAME.
func (s *stream) requestHeader(verb, value string) string {
	name, value, _ := strings.Cut(value, "~")
	switch verb {
	case "set":
		return result(proxywasm.ReplaceHttpRequestHeader(name, value))
	case "add":
		return result(proxywasm.AddHttpRequestHeader(name, value))
	case "del":
		return result(proxywasm.RemoveHttpRequestHeader(name))
	case "get":
		v, err := proxywasm.GetHttpRequestHeader(name)
		return result(err) + " " + v
	}
	pairs, err := proxywasm.GetHttpRequestHeaders()
	return result(err) + " " + names(pairs)
}

func (s *stream) responseHeader(verb, value string) string {
	name, value, _ := strings.Cut(value, "~")
	switch verb {
	case "set":
		return result(proxywasm.ReplaceHttpResponseHeader(name, value))
	case "add":
		return result(proxywasm.AddHttpResponseHeader(name, value))
	case "del":
		return result(proxywasm.RemoveHttpResponseHeader(name))
	case "get":
		v, err := proxywasm.GetHttpResponseHeader(name)
		return result(err) + " " + v
	}
	pairs, err := proxywasm.GetHttpResponseHeaders()
	return result(err) + " " + names(pairs)
}

func names(pairs [][2]string) string {
	var out []string
	for _, p := range pairs {
		out = append(out, p[0])
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// call asks a cluster; its answer runs the phase call for this stream.
func (s *stream) call(cluster string) string {
	headers := [][2]string{{":method", "GET"}, {":path", "/"}, {":authority", "x"}}
	_, err := proxywasm.DispatchHttpCall(cluster, headers, nil, nil, 5000, func(_, size, _ int) {
		body, _ := proxywasm.GetHttpCallResponseBody(0, size)
		s.log("call_response body=" + string(body))
		s.run(s.script["call"])
	})
	return result(err)
}
