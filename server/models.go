package server

import (
	"net/http"
	"net/url"
	"strings"

	"antwort/server/upstream"
	"antwort/shared/jsontext"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// Provider vllm: the model list is the upstream's as it is; vLLM has no
// endpoint for a single model, so that one is looked up in the list.

func (x *exchange) listModels() {
	buf, f := x.fetchModels()
	if f != nil {
		x.give(f)
		return
	}
	defer buf.put()
	x.json(http.StatusOK, buf.b)
}

func (x *exchange) showModel() {
	id, err := url.PathUnescape(strings.TrimPrefix(x.path, "/v1/models/"))
	if err != nil {
		x.unknownPath()
		return
	}
	buf, f := x.fetchModels()
	if f != nil {
		x.give(f)
		return
	}
	defer buf.put()
	var p fastjson.Parser
	list, _ := p.ParseBytes(buf.b) // fetchModels has parsed it
	for _, m := range list.GetArray("data") {
		if string(m.GetStringBytes("id")) == id {
			x.json(http.StatusOK, jsontext.AppendValue(nil, m))
			return
		}
	}
	e := responses.NewError(http.StatusNotFound, "model_not_found", "the model "+policy.Clip(id, 256)+" does not exist")
	e.Param = "model"
	x.fail("unknown_model", nil, e)
}

// fetchModels returns the upstream's list, which is a JSON object.
func (x *exchange) fetchModels() (*buffer, *failed) {
	x.attempt(&attempts{
		pool:       x.s.pools[0],
		request:    upstream.Request{Method: http.MethodGet, Target: "/v1/models", Header: x.chatHeader(false), Repeatable: true},
		repeatable: true,
		statuses:   true,
	})
	ctx, cancel := x.work()
	defer cancel(nil)
	ans, f := x.call(ctx)
	if f != nil {
		return nil, f
	}
	defer ans.Close()
	if ans.Status != http.StatusOK {
		return nil, x.refused(ctx, ans)
	}
	buf := getBuffer()
	if f := x.readAnswer(ctx, ans, buf); f != nil {
		buf.put()
		return nil, f
	}
	if fastjson.ValidateBytes(buf.b) != nil || len(buf.b) == 0 || buf.b[0] != '{' {
		buf.put()
		return nil, &failed{"upstream_answer", nil, responses.NewError(http.StatusBadGateway, "upstream_invalid_answer", "the model server's list of models is not JSON")}
	}
	return buf, nil
}
