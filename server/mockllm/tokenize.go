package mockllm

import "net/http"

// tokenize is POST /tokenize of a chat: as many tokens as its completion says that the
// prompt has. The tokens themselves are their places.
func (m *Mock) tokenize(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		statusRefusal(http.StatusMethodNotAllowed, "Method Not Allowed").write(w)
		return
	}
	body, err := readAll(r.Body, nil)
	if err != nil {
		return // the client has gone
	}
	p := parsers.Get()
	defer parsers.Put(p)
	req, refused := parse(p, r.Header.Get("Content-Type"), body)
	if refused == nil {
		refused = refuseFields(req)
	}
	if refused == nil {
		refused = m.opt.refuseModel(req)
	}
	if refused != nil {
		refused.write(w)
		return
	}
	tokens := make([]int, countPrompt(req))
	for i := range tokens {
		tokens[i] = i
	}
	writeJSON(w, http.StatusOK, map[string]any{"count": len(tokens), "max_model_len": m.opt.MaxModelLen, "tokens": tokens, "token_strs": nil})
}
